from . import measurement as measurement
from . import method as method
from . import metrics as metrics
from . import operators as operators
from .catalogue.registry import get_dataset as get_dataset
from .catalogue.registry import get_method as get_method
from .catalogue.registry import get_operator as get_operator
from .catalogue.suites import load_suite as load_suite
from .core.dataset import Dataset as Dataset
from .core.dataset import Images as Images
from .core.errors import CsbenchError as CsbenchError
from .core.measurement import Measurement as Measurement
from .core.method import Method as Method
from .core.method import NotApplicable as NotApplicable
from .core.method import PathMethod as PathMethod
from .core.method import Recovery as Recovery
from .core.operator import LinearOperator as LinearOperator
from .core.seeding import stream as stream
from .core.tunable import GridMethod as GridMethod
from .priors.generator import Prior as Prior
from .priors.generator import load_prior as load_prior
from .results.store import load_results as load_results
from .runner.problem import Problem as Problem

__version__: str
