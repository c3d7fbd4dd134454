"""Recovery methods, one file per family. A new public subclass of `csbench.Method` here is registered by itself."""
