"""What a result depends on besides its coordinates, as one hash: code, parameters, weights.

Code is hashed as unparsed syntax trees without docstrings, so comments and layout do not count; a file's path and age
never do. The method's module is followed through every module of csbench, or of the plug-in's own package, that it
imports.
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


def fingerprint(method: Method) -> str:
    """Hash of the method's class, parameters, code and data files."""
    digest = hashlib.sha256()
    cls = type(method)
    digest.update(json.dumps([cls.__module__, cls.__qualname__, method.params()], sort_keys=True).encode())
    for module in sorted(reachable(cls.__module__)):
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
    return ast.parse(path.read_text(encoding="utf-8"))


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
    """Modules that a module imports.

    `from a import b` names both a and a.b, for b may be a module; a public name of csbench itself stands for the module
    that it is from, since csbench imports its public names lazily.
    """
    found = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "csbench":
            found |= {csbench.HOME.get(alias.name, f"csbench.{alias.name}") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), _package(module))
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(found)
