"""``python -m benchmarks.rules BUNDLE``: random rules against a service, and what they must hold.

Each request draws boosts, pins, diversity, exploration, candidates to rank, exclusions, a filter.
Its answer is compared with that to the same request without rules, of all items.
"""

import json
import math
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.reliability.client import Client
from benchmarks.reliability.program import running
from models.contract.bundle import read

Request = dict[str, Any]
Answer = Mapping[str, Any]
Ask = Callable[[Request], Answer]
Catalogue = Mapping[str, Mapping[str, Any]]  # attributes by id
RULES = "boost", "pin", "diversify", "explore", "rank"
_PAGES = 20


def main(
    bundle: Annotated[Path, typer.Argument(help="A run's output folder.")],
    sets: Annotated[int, typer.Option(help="Random requests.")] = 10_000,
) -> None:
    """Print how many requests had which rule, and every violation."""
    catalogue = catalogue_of(bundle)
    with (
        tempfile.TemporaryDirectory() as scratch,
        running(
            bundle,
            max_k=str(len(catalogue)),
            live=scratch,
            events=scratch,
            impressions="0",
            store_every="0",
        ) as program,
    ):
        client = Client(program.port)

        def ask(request: Request) -> Answer:
            status, body = client.ask("POST", "/recommend", json.dumps(request))
            if status != 200:
                raise RuntimeError(f"{status} for {request}: {body!r}")
            answer: Answer = json.loads(body)
            return answer

        used, violations = run(ask, catalogue, sets, random.Random(0))
        repeats = pages(ask, [*catalogue][:3])
    table = Table("rule", "requests", title=f"{sets:,} random rule sets, {len(catalogue):,} items")
    for rule in RULES:
        table.add_row(rule, f"{used[rule]:,}")
    console = Console()
    console.print(table)
    for violation in violations[:20]:
        console.print(violation, markup=False)
    console.print(f"violations: {len(violations)}; items repeated on {_PAGES} pages: {repeats}")
    if violations or repeats:
        raise typer.Exit(1)


def catalogue_of(bundle: Path) -> Catalogue:
    """Attributes by id, of what is current in an output folder."""
    found = read(bundle / "current")
    return {item.item_id: json.loads(item.attributes or "{}") for item in found.catalogue}


def run(
    ask: Ask, catalogue: Catalogue, sets: int, dice: random.Random
) -> tuple[Counter[str], list[str]]:
    """How many requests had each rule, and what was violated."""
    used: Counter[str] = Counter()
    violations = []
    for _ in range(sets):
        request = drawn(catalogue, dice)
        used.update(rule for rule in RULES if rule in request)
        plain = {name: value for name, value in request.items() if name not in RULES}
        if "rank" in request:
            plain |= {"allow": request["rank"]["items"], "include_history": True}
        everything = ask(plain | {"k": len(catalogue)})
        found = violated(request, ask(request | {"explain": True}), everything, catalogue)
        violations += [f"{what}: {json.dumps(request)}" for what in found]
    return used, violations


def pages(ask: Ask, history: Sequence[str]) -> int:
    """How many items come twice on pages that follow each other."""
    request: Request = {"history": [*history], "k": 5, "diversify": {"strength": 0.3}}
    seen: Counter[str] = Counter()
    for _ in range(_PAGES):
        answer = ask(request)
        seen.update(ids(answer))
        request["after"] = answer["recommendation_id"]
    return sum(times - 1 for times in seen.values())


def drawn(catalogue: Catalogue, dice: random.Random) -> Request:
    """A request with some rules."""
    items = [*catalogue]
    request: Request = {"history": _some(items, 5, dice), "k": dice.randint(1, 30)}
    if dice.random() < 0.3:
        request["exclude"] = _some(items, 20, dice)
    if dice.random() < 0.2:
        request["filter"] = _filter(catalogue, dice)
    if dice.random() < 0.6:
        request["boost"] = [_boost(catalogue, dice) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.4:
        places = dice.sample(range(1, 35), 3)
        pairs = zip(dice.sample(items, 3), places, strict=True)
        request["pin"] = [{"item_id": item, "position": place} for item, place in pairs]
    if dice.random() < 0.4:
        request["diversify"] = _diversify(catalogue, dice)
    if dice.random() < 0.3:
        request["explore"] = {
            "share": dice.choice([0.1, 0.25, 0.5]),
            "max_age_days": dice.choice([30, 36_500]),
            "by": dice.choice(["random", "uncertainty"]),
        }
    if dice.random() < 0.2:
        request["rank"] = {
            "items": dice.sample(items, min(25, len(items))),
            "in_order": dice.random() < 0.5,
        }
    return request


def _some(items: Sequence[str], most: int, dice: random.Random) -> list[str]:
    return dice.sample(items, dice.randint(0, min(most, len(items))))


def _filter(catalogue: Catalogue, dice: random.Random) -> dict[str, Any]:
    """What some item has."""
    while True:
        attributes = dice.choice([*catalogue.values()])
        if attributes:
            name = dice.choice([*attributes])
            return {name: dice.choice(_values(attributes[name]))}


def _boost(catalogue: Catalogue, dice: random.Random) -> dict[str, Any]:
    boost: dict[str, Any] = {}
    if dice.random() < 0.7:
        boost["filter"] = _filter(catalogue, dice)
    if not boost or dice.random() < 0.3:
        boost["items"] = dice.sample([*catalogue], min(40, len(catalogue)))
    if dice.random() < 0.5:
        boost["share"] = dice.choice([0.1, 0.3, 0.5, 1.0])
    if "share" not in boost or dice.random() < 0.3:
        boost["factor"] = dice.choice([0.1, 0.5, 2.0, 10.0])
    return boost


def _diversify(catalogue: Catalogue, dice: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if dice.random() < 0.7:
        found = {"by": next(iter(_filter(catalogue, dice))), "at_most": dice.randint(1, 4)}
    if not found or dice.random() < 0.4:
        found["strength"] = dice.choice([0.2, 0.5, 0.9])
    return found


def violated(
    request: Request, answer: Answer, everything: Answer, catalogue: Catalogue
) -> Iterator[str]:
    """What an answer does that its rules do not allow."""
    got, may = ids(answer), {*ids(everything)}
    if len({*got}) < len(got):
        yield "an item comes twice"
    if not {*got} <= may:
        yield "an item may not be returned at all"
    diversify = request.get("diversify", {})
    if "by" not in diversify and len(got) != min(request["k"], len(may)):
        yield "it is not as long as it could be"
    yield from _of_pins(request, answer, may)
    if "by" in diversify:
        yield from _of_limit(request, got, diversify, catalogue)
    yield from _of_exploring(request, answer)
    boosts = request.get("boost", ())
    if any(rule in request for rule in ("pin", "diversify", "explore")):
        return
    shares = [boost for boost in boosts if "share" in boost]
    if len(shares) == 1:
        yield from _of_share(shares[0], got, may, catalogue)
    in_order = request.get("rank", {}).get("in_order")
    if not shares and not in_order:
        yield from _of_scores(request, answer, everything, catalogue)


def _of_pins(request: Request, answer: Answer, may: set[str]) -> Iterator[str]:
    got = ids(answer)
    pins = {pin["item_id"]: pin["position"] for pin in request.get("pin", ())}
    for item, position in pins.items():
        if position > request["k"]:
            continue
        if item not in may:
            if item not in answer["skipped"]:
                yield "a pin that may not be returned is not named"
        elif item not in got or (got.index(item) != position - 1 and len(got) >= request["k"]):
            yield "a pin is not in its place"


def _of_limit(
    request: Request, got: Sequence[str], diversify: Mapping[str, Any], catalogue: Catalogue
) -> Iterator[str]:
    pinned = {pin["item_id"] for pin in request.get("pin", ())}
    placed: Counter[Any] = Counter()
    for item in got:
        values = {*_values(catalogue[item].get(diversify["by"]))}
        if item not in pinned and any(placed[value] >= diversify["at_most"] for value in values):
            yield "there are too many of one value"
        placed.update(values)


def _of_exploring(request: Request, answer: Answer) -> Iterator[str]:
    explored = [item for item in answer["items"] if item.get("explored")]
    if "explore" not in request:
        if explored:
            yield "an item is explored unasked"
    elif len(explored) > math.ceil(request["k"] * request["explore"]["share"]):
        yield "too many are explored"


def _of_share(
    boost: Mapping[str, Any], got: Sequence[str], may: set[str], catalogue: Catalogue
) -> Iterator[str]:
    there = sum(meets(boost, item, catalogue) for item in may)
    for n in range(1, len(got) + 1):
        held = sum(meets(boost, item, catalogue) for item in got[:n])
        if held < min(int(boost["share"] * n + 0.5), there):
            yield f"a share is missed after {n} items"
            return


def _of_scores(
    request: Request, answer: Answer, everything: Answer, catalogue: Catalogue
) -> Iterator[str]:
    """With factors alone, the answer is the best of all by their scores."""
    scores = {item["item_id"]: item["score"] for item in everything["items"]}
    for boost in request.get("boost", ()):
        factor = boost.get("factor", 1)
        for item in scores:
            if meets(boost, item, catalogue):
                if everything["fallback"]:
                    scores[item] *= factor
                else:
                    scores[item] += math.log(factor)
    best = sorted(scores.values(), reverse=True)
    for item, wanted in zip(answer["items"], best, strict=False):
        if not math.isclose(item["score"], wanted, rel_tol=1e-4, abs_tol=1e-3):
            yield "it is not the best by score"
            return
        if not math.isclose(item["score"], scores[item["item_id"]], rel_tol=1e-4, abs_tol=1e-3):
            yield "a score is not what the factors make of it"
            return


def meets(boost: Mapping[str, Any], item: str, catalogue: Catalogue) -> bool:
    """Whether a boost is for an item."""
    if "items" in boost and item not in boost["items"]:
        return False
    wanted = boost.get("filter", {})
    return all(value in _values(catalogue[item].get(name)) for name, value in wanted.items())


def ids(answer: Answer) -> list[str]:
    """Of an answer's items."""
    return [item["item_id"] for item in answer["items"]]


def _values(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]


if __name__ == "__main__":
    typer.run(main)
