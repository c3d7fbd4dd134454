"""csbench: how well does a recovery method get x back from y = A x + noise, when m << n?

The public names stand in `__init__.pyi`, and each is imported when it is first used, so `import csbench` costs nothing.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
