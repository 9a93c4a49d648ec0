"""An answer by a shop's rules: what may be found is searched in parts, then slots are filled."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.engine.batcher import Candidates
from service.generation.recommended import Recommended
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import Allowed, Selection
from service.rules.explorer import MOST
from service.rules.parts import Part, Pool, ordered, parted, pooled
from service.rules.rules import Boost, Rank, Rules
from service.rules.slots import Slot, Slots

DEEPEST = 2_000  # of each part, where limits pass over many
_SOME = 100
_FUSED = 60  # the constant of reciprocal rank fusion, as in the paper
_INLINE = 1_000  # candidates that slots are filled from in the event loop itself

Search = Callable[[int, Selection], Awaitable[Candidates]]  # the best k of a selection


class Ruling(NamedTuple):
    """An answer, best first, and ids of pins and of ``rank`` that must not be in it."""

    items: list[Recommended]
    skipped: list[str]


class Ruled:
    """Of one generation. ``dice`` decides what is explored."""

    def __init__(self, items: LiveItems, dice: random.Random | None = None) -> None:
        self.items = items
        self.dice = dice or random.Random()

    async def answer(
        self, rules: Rules, k: int, selection: Selection, search: Search, *, popular: bool
    ) -> Ruling:
        """The ``k`` items. popular: scores count uses, so that a factor multiplies them; else they
        are log-odds, and its logarithm is added. Raises UnknownAttributeError.
        """
        if rules.diversify is not None and rules.diversify.by is not None:
            self.items.matching.check(rules.diversify.by)
        marked = await self._marked(rules)
        rows = {n: self.items.row(item_id) for n, item_id in rules.pins.items() if n <= k}
        pins = {n: row for n, row in rows.items() if row is not None}
        parts = self._parts(selection, marked, [*pins.values()])
        depth = _depth(rules, k)
        while True:
            found = await asyncio.gather(*(search(depth, part.selection) for part in parts))
            pool = self._scored(pooled(parts, found, len(marked)), rules, popular=popular)
            slots = await self._fill(k, pool, pins, rules)
            unseen = _unseen(parts, found, pool, depth)
            full = len(slots) == k
            if not unseen or depth >= DEEPEST or (full and _settled(slots, pool, unseen, rules)):
                break
            depth = max(DEEPEST, k)
        items = [self._item(pool, slot, rules) for slot in slots]
        return Ruling(items, self._skipped(rules, k, pool, whole=len(items) < k))

    async def _marked(self, rules: Rules) -> list[Allowed]:
        """The rows of each boost, then those that are new if some are to be explored."""
        marked = [await self._boosted(boost) for boost in rules.boosts]
        if rules.explore is not None:
            marked.append(self.items.newcomers.since(time.time() - rules.explore.max_age))
        return marked

    async def _boosted(self, boost: Boost) -> Allowed:
        named = None if boost.item_ids is None else self._named(boost.item_ids)
        if boost.filter is None:
            return named or Allowed.of((), self.items.size)
        allowed = await self.items.matching.allowed(boost.filter)
        return allowed if named is None else named.both(allowed)

    def _named(self, item_ids: Iterable[str]) -> Allowed:
        rows = {row for row in map(self.items.row, item_ids) if row is not None}
        return Allowed.of(rows, self.items.size)

    def _parts(
        self, selection: Selection, marked: Sequence[Allowed], pinned: Sequence[int]
    ) -> list[Part]:
        """Pinned rows are parts of their own, so that they are found if they may be."""
        if not marked and not pinned:
            return [Part(selection)]
        allowed = self._everything() if selection.allowed is None else selection.allowed
        selection = selection._replace(allowed=allowed)
        if not pinned:
            return parted(selection, marked)
        hidden: Rows = np.union1d(selection.hidden, np.array(pinned, np.int64))
        pins = Allowed.of({*pinned}, self.items.size).both(allowed)
        return [
            *parted(selection._replace(hidden=hidden), marked),
            *parted(selection._replace(allowed=pins), marked),
        ]

    def _everything(self) -> Allowed:
        size, live = self.items.size, len(self.items.live.gone_M)
        return Allowed(RowSet.of(np.ones(size, np.bool_)), size + np.arange(live))

    def _scored(self, pool: Pool, rules: Rules, *, popular: bool) -> Pool:
        """As boosts and the order of ``rank`` have it, best first."""
        scores_J = pool.scores_J
        for boost, bears_J in zip(rules.boosts, pool.marks_JM.T, strict=False):
            if popular:
                scores_J = scores_J * np.where(bears_J, np.float32(boost.factor), np.float32(1))
            else:
                scores_J = scores_J + bears_J * np.float32(np.log(boost.factor))
        pool = ordered(pool._replace(scores_J=scores_J))
        if rules.rank is None or not rules.rank.in_order:
            return pool
        return ordered(pool._replace(scores_J=self._fused(pool.rows_J, rules.rank)))

    def _fused(self, rows_J: Rows, rank: Rank) -> FloatArray:
        sent = enumerate(dict.fromkeys(rank.item_ids), 1)  # of two the first counts
        places = {self.items.row(item_id): n for n, item_id in sent}
        last = len(places) + 1  # of an item that was put meanwhile
        sent_J = np.array([places.get(row, last) for row in rows_J.tolist()], np.float32)
        model_J = np.arange(1, len(rows_J) + 1, dtype=np.float32)
        return (1 / (_FUSED + sent_J) + 1 / (_FUSED + model_J)).astype(np.float32)

    async def _fill(self, k: int, pool: Pool, pins: dict[int, int], rules: Rules) -> list[Slot]:
        where = {row: candidate for candidate, row in enumerate(pool.rows_J.tolist())}
        found = {n - 1: where[row] for n, row in pins.items() if row in where}
        slots = Slots(k, pool, found, rules, self.items, self.dice)
        return slots.fill() if len(pool.rows_J) <= _INLINE else await asyncio.to_thread(slots.fill)

    def _item(self, pool: Pool, slot: Slot, rules: Rules) -> Recommended:
        row, score = int(pool.rows_J[slot.candidate]), float(pool.scores_J[slot.candidate])
        explored = slot.explored if rules.explore else None
        return Recommended(row, score, rules=slot.rules, explored=explored, odds=slot.odds)

    def _skipped(self, rules: Rules, k: int, pool: Pool, *, whole: bool) -> list[str]:
        """What is asked for and not among all that may be. whole: the pool holds all of that; what
        is pinned it holds anyhow.
        """
        wanted = [id_ for position, id_ in sorted(rules.pins.items()) if position <= k]
        if rules.rank is not None and whole:
            wanted += rules.rank.item_ids
        there = {*pool.rows_J.tolist()}
        return [id_ for id_ in dict.fromkeys(wanted) if self.items.row(id_) not in there]


class _Unseen(NamedTuple):
    """What is left of a part that has more than was found: its marks, its score at most."""

    marks: tuple[bool, ...]
    score: float


def _unseen(
    parts: Sequence[Part], found: Sequence[Candidates], pool: Pool, depth: int
) -> list[_Unseen]:
    scores = dict(zip(pool.rows_J.tolist(), pool.scores_J.tolist(), strict=True))
    return [
        _Unseen(part.marks, scores[int(best.items_K[-1])])
        for part, best in zip(parts, found, strict=True)
        if len(best.items_K) >= depth
    ]


def _settled(slots: Sequence[Slot], pool: Pool, unseen: Sequence[_Unseen], rules: Rules) -> bool:
    """Whether no slot might have had a better item than it has: so it is, but where a limit passes
    over the best of a part. What strength prefers is looked for in the pool alone.
    """
    if rules.diversify is None or rules.diversify.by is None or rules.diversify.strength:
        return True
    return not any(
        left.score > pool.scores_J[slot.candidate]
        for slot in slots
        if slot.by_score
        for left in unseen
        if slot.share is None or left.marks[slot.share]
    )


def _depth(rules: Rules, k: int) -> int:
    """Of each part: ``k`` are enough, but for what is passed over, to draw from, and where another
    order than that of scores counts.
    """
    depth = k if rules.diversify is None else 4 * k + _SOME
    if rules.rank is not None and rules.rank.in_order:
        depth = max(depth, len(rules.rank.item_ids))
    return depth if rules.explore is None else max(depth, k + MOST)
