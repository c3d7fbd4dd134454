"""What a result depends on besides its coordinates, as one hash: code, parameters, weights.

Code is hashed as unparsed syntax trees without docstrings, so comments and layout do not count; a file's path and age
never do. The modules of the method and of the operator are followed through every module of csbench, or of the
plug-in's own package, that they import. A package that only collects names from its modules is seen through: a name
stands for the module that it is from, so that a new operator, say, changes nothing for those that there are.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import sys
from functools import lru_cache
from pathlib import Path

import csbench
from csbench.method import Method
from csbench.registry import parse_operator


def fingerprint(method: Method, operator: str) -> str:
    """Hash of the method's class, parameters, code and data files, and of the operator's code.

    Args:
        operator: as a suite names it; an operator's code runs within every method.
    """
    digest = hashlib.sha256()
    cls = type(method)
    digest.update(json.dumps([cls.__module__, cls.__qualname__, method.params()], sort_keys=True).encode())
    for module in sorted(reachable(cls.__module__) | reachable(parse_operator(operator)[0].module)):
        digest.update(_code_hash(module).encode())
    for path in method.data_files():
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def reachable(module: str) -> set[str]:
    """A module with all modules of csbench, or of its own package, that it imports, wherever it does so."""
    root = module.split(".")[0]
    found, queue = set(), [module]
    while queue:
        name = queue.pop()
        if name != "csbench" and name not in found and _source(name) is not None:
            found.add(name)
            queue += [n for n in _imports(name) if n.split(".")[0] in ("csbench", root)]
    return found


@lru_cache
def _source(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        parent = module.rpartition(".")[0]
        if parent and (within := _source(parent)) is not None and within.name != "__init__.py":
            return None  # a name in a module; find_spec would import the module to learn so
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


@lru_cache
def _tree(module: str) -> ast.Module:
    path = _source(module)
    assert path is not None
    return ast.parse(path.read_bytes())


@lru_cache
def _code_hash(module: str) -> str:
    tree = ast.parse(ast.unparse(_tree(module)))  # a copy, for docstrings are taken out of it
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()  # ast.dump differs between versions of Python


def _package(module: str) -> str:
    """The package that a module's relative imports start from."""
    path = _source(module)
    return module if path is not None and path.name == "__init__.py" else module.rpartition(".")[0]


@lru_cache
def _imports(module: str) -> frozenset[str]:
    """Modules that a module imports."""
    found = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            found |= {part for alias in node.names for part in _home(base, alias.name)}
    return frozenset(found)


def _base(module: str, node: ast.ImportFrom) -> str:
    return importlib.util.resolve_name("." * node.level + (node.module or ""), _package(module))


def _home(package: str, name: str) -> set[str]:
    """Modules that `from package import name` needs; name may be a module itself."""
    if package == "csbench":  # which imports its public names lazily
        if name not in csbench.HOME:
            return {f"csbench.{name}"}
        return _home(csbench.HOME[name], name)
    collected = _collected(package)
    if collected is None:
        return {package, f"{package}.{name}"}
    return _home(*collected[name]) if name in collected else {f"{package}.{name}"}


@lru_cache
def _collected(package: str) -> dict[str, tuple[str, str]] | None:
    """Where the names of a package that has no code but `from ... import ...` are from; None for all other modules."""
    path = _source(package)
    if path is None or path.name != "__init__.py":
        return None
    found = {}
    for node in _tree(package).body:
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: (_base(package, node), alias.name) for alias in node.names}
        elif not _is_docstring(node) and not _is_all(node):
            return None
    return found


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
