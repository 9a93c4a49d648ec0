"""The map of the service holds: no circle, and few floors. Imports inside functions count, too."""

from collections.abc import Callable, Iterable
from functools import cache

import grimp

LONGEST = 9
GRAPH = grimp.build_graph("service")
MODULES = sorted(m for m in GRAPH.modules if not GRAPH.find_children(m))


def longest_chain(nodes: Iterable[str], below: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """From top to bottom. Fails where following the arrows comes back."""
    under_way: list[str] = []

    @cache
    def longest(node: str) -> tuple[str, ...]:
        assert node not in under_way, f"a circle: {under_way}"
        under_way.append(node)
        chains = [longest(other) for other in below(node)]
        under_way.pop()
        return node, *max(chains, key=len, default=())

    return max(map(longest, nodes), key=len)


def folder(module: str) -> str:
    """``service.http`` of ``service.http.routes``; a module beside the folders is its own."""
    return ".".join(module.split(".")[:2])


def test_no_imports_are_a_circle() -> None:
    assert longest_chain(MODULES, GRAPH.find_modules_directly_imported_by)


def test_a_chain_of_folders_is_short_enough_to_keep_in_mind() -> None:
    def below(name: str) -> set[str]:
        inside = [m for m in MODULES if folder(m) == name]
        found = (GRAPH.find_modules_directly_imported_by(m) for m in inside)
        return {folder(m) for modules in found for m in modules} - {name}

    chain = longest_chain(sorted(set(map(folder, MODULES))), below)
    assert len(chain) <= LONGEST, " -> ".join(chain)
