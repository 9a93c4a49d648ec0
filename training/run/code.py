"""What code a stage runs: a hash of the project's own modules that it imports.

Imports are read, not run: a few milliseconds a module, once a process. Comments, docstrings and
formatting do not count; imports inside functions do. Another version of Python may read the same
text otherwise, and stages are then stale once.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import resolve_name
from typing import NamedTuple

PACKAGES = ("models", "training")
# Packages whose code does not count. What a stage takes from the configuration is values, which its
# fingerprint holds one by one; what the report makes is looked at by people, not by stages.
ASIDE = ("training.config", "training.report")
# Whoever imports one of these may find any of its modules by name.
BY_NAME = frozenset({"training.encoders.kinds"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Module(NamedTuple):
    """One file."""

    code: str  # hash of what it does
    imports: frozenset[str]  # the project's modules that it names


def code_hash(module: str) -> str:
    """Hash of the code of a module and of all of the project's that it imports, in turn."""
    listing = sorted(f"{name} {read(name).code}" for name in closure(module))
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def closure(module: str) -> frozenset[str]:
    """The module and all of the project's that it imports, directly or not."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= read(name).imports - found
    return frozenset(found)


@cache
def read(module: str) -> Module:
    """One module, read once a process. Raises FileNotFoundError where there is no source."""
    file = place(module)
    if file is None:
        raise FileNotFoundError(f"{module} has no source file, so nobody can tell if it changes")
    tree = ast.parse(file.read_bytes())
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    imports = frozenset(name for name in _named(tree, package) if place(name) and _counts(name))
    if module in BY_NAME:
        imports |= _modules_of(module)
    return Module(hashlib.sha256(_said(tree).encode()).hexdigest(), imports)


@cache
def place(module: str) -> Traversable | None:
    """The file of one of the project's modules or packages; None for whatever else is imported."""
    package, *inner = module.split(".")
    if package not in PACKAGES:
        return None
    folder = files(package)
    found = [folder.joinpath(*inner, "__init__.py")]
    if inner:
        found.append(folder.joinpath(*inner[:-1], f"{inner[-1]}.py"))
    return next((file for file in found if file.is_file()), None)


def _counts(module: str) -> bool:
    return not f"{module}.".startswith(tuple(f"{package}." for package in ASIDE))


def _modules_of(package: str) -> frozenset[str]:
    folder = files(package)
    return frozenset(
        f"{package}.{file.name.removesuffix('.py')}"
        for file in folder.iterdir()
        if file.name.endswith(".py") and file.name != "__init__.py"
    )


def _named(tree: ast.AST, package: str) -> Iterator[str]:
    """Every name that an import may be a module of: ``from a import b`` names a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            origin = resolve_name(relative, package) if node.level else relative
            names = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _said(tree: ast.Module) -> str:
    """The code without docstrings, comments and formatting."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
