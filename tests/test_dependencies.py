"""pyproject.toml names what each side imports, and torch only where it is needed."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"models", "service", "training"}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# One distribution in all but name: the other pins it to the very version.
PART_OF = {"pydantic-core": "pydantic"}
# Two distributions each may bring these; which one is the extra's business.
EITHER = {
    "faiss": {"faiss-cpu", "faiss-gpu"},
    "onnxruntime": {"onnxruntime", "onnxruntime-gpu"},
}

TORCH = {"torch", "lightning"}
SIDES = {
    "service": (
        ("models/contract", "service"),
        ("serve", "cpu", "torch", "pictures", "events", "kafka"),
    ),
    "service on a GPU": (
        ("models/contract", "service"),
        ("serve", "gpu", "pictures", "events", "kafka"),
    ),
    "training": (("models", "training"), ("train", "cpu", "encoders")),
    "training on a GPU": (("models", "training"), ("train", "gpu", "encoders")),
}


def imports(*folders: str) -> dict[str, set[Path]]:
    """Packages that are neither ours nor Python's, and the files that import them."""
    found = defaultdict(set)
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            for module in modules(ast.parse(file.read_text("utf-8"))):
                package = module.partition(".")[0]
                if package not in OURS and package not in sys.stdlib_module_names:
                    found[package].add(file.relative_to(ROOT))
    return dict(found)


def modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


@cache
def distributions_of(package: str) -> set[str]:
    installed = {canonical(name) for name in packages_distributions().get(package, [package])}
    return EITHER.get(package, {PART_OF.get(name, name) for name in installed})


def named(*extras: str) -> set[str]:
    """Distributions that the core and these extras name."""
    optional = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [line for extra in extras for line in optional[extra]]
    return {canonical(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("side", SIDES)
def test_every_package_that_a_side_imports_is_named_by_its_extras(side: str) -> None:
    folders, extras = SIDES[side]
    missing = {
        package: sorted(map(str, files))
        for package, files in imports(*folders).items()
        if not distributions_of(package) & named(*extras)
    }
    assert missing == {}


def test_what_both_sides_share_needs_the_core_alone() -> None:
    """But for pictures, which a service may do without."""
    more = {
        package: files
        for package, files in imports("models/contract").items()
        if not distributions_of(package) & named()
    }
    assert more == {"PIL": {Path("models/contract/pictures.py")}}


@pytest.mark.parametrize("extras", [(), ("serve",), ("cpu",)])
def test_to_serve_no_torch_is_installed(extras: tuple[str, ...]) -> None:
    assert not named(*extras) & TORCH


def test_of_the_service_only_the_engine_knows_torch() -> None:
    files = imports("service").get("torch", set())
    assert files
    assert {file.parent.as_posix() for file in files} == {"service/engine"}


def test_every_extra_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text("utf-8")
    pinned = {canonical(name) for name in re.findall(r"^([\w.-]+)==", pins, re.MULTILINE)}
    assert named(*PROJECT["optional-dependencies"]) <= pinned
