"""Datasets, one file per family. A new public subclass of `csbench.Dataset` in a file here is registered by itself."""
