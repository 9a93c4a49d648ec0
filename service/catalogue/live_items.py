"""LiveItems: what changes have made of one bundle's catalogue.

Rows below N are the bundle's, live item m has row N + m. A put makes a new row, and the one before
is gone, unless both are encoded alike; a row is never another item's. Entries are applied in the
order of the log, one after another; what the search reads is replaced, never written to. A log that
was compacted makes fewer rows, in another order: what is told of an item depends on neither.

A live item keeps the codes that it was given, for the model reads them. Its extra code is the
position of its first put, beyond all extra codes of the bundle: nobody else's, in any replica.

What is of the bundle and of the log both: a put that is older than the bundle gives way to it, for
the bundle was made of the item's later content, and of its clicks. Deletions and patches stand,
whatever their age, until the item is put or patched anew: a bundle knows nothing of them.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.bundle import Bundle
from models.contract.intake import AttributeValue, IntakeError, Taken
from models.contract.types import CodeArray, FloatArray, ItemCodes
from service.catalogue.change import Change
from service.catalogue.fold import Mark, patched
from service.catalogue.growing import Growing
from service.catalogue.live_alike import LiveAlike
from service.catalogue.matching import Matching
from service.catalogue.newcomers import Newcomers
from service.log.log import Entry
from service.retrieval.live import Live
from service.retrieval.rows import Mask, Rows

Applied = Literal["applied", "stale", "deleted", "refused"]
Attributes = Mapping[str, AttributeValue]


class Item(NamedTuple):
    """What is known of one that is not deleted. position: of its last change, None without one."""

    item_id: str
    row: int
    live: bool
    title: str | None
    attributes: dict[str, Any]
    semantic_id: list[int]
    version: int
    position: int | None


class _Row(NamedTuple):
    """What a live row has beside its numbers."""

    item_id: str
    title: str | None


class LiveItems:
    """Begins with the bundle alone, at position 0."""

    def __init__(self, bundle: Bundle) -> None:
        space, vectors = bundle.manifest.architecture.code_space, bundle.vectors
        self.bundle = bundle
        self.size = len(bundle.catalogue)
        nothing_MD = np.empty((0, vectors.scored_ND.shape[1]), np.float32)
        self.live = Live(nothing_MD, np.zeros(0, np.bool_), np.zeros(self.size, np.bool_))
        self.matching = Matching(bundle.attributes, self.size)
        self.newcomers = Newcomers(bundle.catalogue)
        self.alike = LiveAlike(self.size, bundle.memory.decay if bundle.memory else 0.0)
        self.refused: dict[str, str] = {}  # ids to why their content could not be taken in
        written = bundle.manifest.items_as_of or bundle.manifest.created_at
        self._written = datetime.fromisoformat(written).timestamp()
        self._codes = Growing(space.slots, np.uint16)
        self._scored = Growing(vectors.scored_ND.shape[1], np.float32)
        self._read = Growing(vectors.read_NW.shape[1], np.float32)
        self._before = Growing(1, np.int64)  # the bundle's row of the same item, -1: it has none
        self._first = Growing(1, np.int64)  # at which position the item was put first
        self._rows: list[_Row] = []
        self._attributes: list[dict[str, AttributeValue]] = []
        self._row_of: dict[str, int] = {}  # the latest live row of an id, be it gone
        self._marks: dict[str, tuple[Mark, int]] = {}  # and the position of the last change
        self._patches: dict[str, dict[str, AttributeValue]] = {}  # of items of the bundle
        self._gone_now: dict[int, bool] = {}  # rows that changed since `publish`

    def wants(self, change: Change) -> bool:
        """A put whose content has to be taken in."""
        return change.kind == "put" and not self._gives_way(change)

    def apply(self, entry: Entry[Change], taken: Taken | IntakeError | None) -> Applied:
        """The next entry; ``taken`` where it is wanted. Seen by others after ``publish``."""
        change, item_id = entry.value, entry.value.item_id
        mark, _ = self._marks.get(item_id, (Mark(), 0))
        verdict = mark.verdict(change)
        if verdict != "applied":
            return verdict
        self._marks[item_id] = mark.after(entry), entry.position
        if change.kind == "delete":
            self._delete(item_id)
        elif change.kind == "patch":
            self._patch(item_id, change.attributes)
        elif taken is None:
            self._give_way(item_id)
        else:
            return self._put(change, taken)
        return "applied"

    def publish(self) -> Live:
        """What the search sees from now on."""
        gone_M, gone_N = self.live.gone_M, self.live.gone_N
        if (added := len(self._rows) - len(gone_M)) or self._gone_now:
            gone_M = np.concatenate([gone_M, np.zeros(added, np.bool_)])
        if any(row < self.size for row in self._gone_now):
            gone_N = gone_N.copy()
        for row, gone in self._gone_now.items():
            if row < self.size:
                gone_N[row] = gone
            else:
                gone_M[row - self.size] = gone
        self._gone_now.clear()
        self.live = Live(self._scored.rows, gone_M, gone_N)
        return self.live

    def mark(self, item_id: str) -> Mark:
        """How far an item has come."""
        return self._marks.get(item_id, (Mark(), 0))[0]

    def __len__(self) -> int:
        """Live rows, gone ones too."""
        return len(self._rows)

    def codes(self, item_id: str) -> ItemCodes | None:
        """Of a live item, be it deleted since: a history may hold it."""
        number = self._row_of.get(item_id)
        if number is None:
            return None
        scored_D, read_W = self._scored.rows[number], self._read.rows[number]
        read_D = self.bundle.vectors.read_of(scored_D, read_W)
        return ItemCodes(self.size + number, self._codes.rows[number], read_D)

    def row(self, item_id: str) -> int | None:
        """Where an item is now, be it deleted."""
        number = self._row_of.get(item_id)
        return self.bundle.catalogue.rows.get(item_id) if number is None else self.size + number

    def known(self, item_ids: Sequence[str]) -> tuple[Rows, Mask]:
        """Rows of those that are known, and which these are."""
        rows = [self.row(item_id) for item_id in item_ids]
        known_J = np.array([row is not None for row in rows], np.bool_)
        return np.array([row for row in rows if row is not None], np.int64), known_J

    def names(self, rows: Sequence[int]) -> list[tuple[str, str | None]]:
        """id and title of each row, gone or not; the bundle's alone are looked up at once."""
        size, catalogue = self.size, self.bundle.catalogue
        if max(rows, default=0) >= size:
            return [
                self._rows[row - size][:2] if row >= size else self.names([row])[0] for row in rows
            ]
        ids, titles = catalogue.item_ids.of(rows), catalogue.titles.of(rows)
        return [(item_id or "", title) for item_id, title in zip(ids, titles, strict=True)]

    def vectors(self, rows: Sequence[int]) -> FloatArray:
        """What rows are scored by, (J, D)."""
        table_ND, live_MD = self.bundle.item_vectors_ND, self._scored.rows
        vectors = [table_ND[r] if r < self.size else live_MD[r - self.size] for r in rows]
        return np.stack(vectors)

    def uses(self, rows: Sequence[int]) -> Rows:
        """(J,): how often each was used in what the bundle learned from, be it put anew since."""
        bundle_J = self.before(np.array(rows, np.int64))
        used_J: Rows = self.bundle.catalogue.popularity_N[bundle_J].astype(np.int64)
        return np.where(bundle_J < 0, 0, used_J)

    def before(self, rows_J: Rows) -> Rows:
        """(J,): the rows that these items have in the bundle, -1 for what it does not have."""
        bundle_J = rows_J.copy()
        live_J = rows_J >= self.size
        bundle_J[live_J] = self._before.rows[rows_J[live_J] - self.size, 0]
        return bundle_J

    @property
    def anew(self) -> Rows:
        """Live rows of items that the bundle has, gone ones too."""
        return self.size + np.flatnonzero(self._before.rows[:, 0] >= 0)

    def first(self, rows_J: Rows) -> Rows:
        """(J,): at which position these items were put first, of live rows."""
        first_J: Rows = self._first.rows[rows_J - self.size, 0]
        return first_J

    def attributes(self, row: int) -> dict[str, Any]:
        """Of a row, as they are now."""
        if row >= self.size:
            return dict(self._attributes[row - self.size])
        catalogue = self.bundle.catalogue
        own = json.loads(catalogue.attributes[row] or "{}")
        return patched(own, self._patches.get(catalogue.id_of(row), {}))

    def is_gone(self, row: int) -> bool:
        """Deleted, or replaced by another row; as ``publish`` said last."""
        live, number = self.live, row - self.size
        if number >= len(live.gone_M):
            return True  # not published yet
        return bool(live.gone_N[row] if number < 0 else live.gone_M[number])

    def item(self, item_id: str) -> Item | None:
        """What is known of it; None where it is not, or no more."""
        row = self.row(item_id)
        if row is None or self.is_gone(row):
            return None
        mark, position = self._marks.get(item_id, (Mark(), None))
        return Item(
            item_id=item_id,
            row=row,
            live=row >= self.size,
            title=self.names([row])[0][1],
            attributes=self.attributes(row),
            semantic_id=self.semantic_id(row),
            version=mark.version,
            position=position,
        )

    def semantic_id(self, row: int) -> list[int]:
        """The codes of a row and its extra code: no other item of this generation has them."""
        extra_N = self.bundle.semantic_ids.extra_N
        if row < self.size:
            return [*self.codes_of(row).tolist(), int(extra_N[row])]
        first = int(self._first.rows[row - self.size, 0])
        return [*self.codes_of(row).tolist(), self._beyond + first]

    @cached_property
    def _beyond(self) -> int:
        """The largest extra code of the bundle."""
        return int(self.bundle.semantic_ids.extra_N.max(initial=0))

    @property
    def live_codes(self) -> CodeArray:
        """(M, S), of live rows, gone ones too."""
        return self._codes.rows

    def codes_of(self, row: int) -> CodeArray:
        """(S,), of a row."""
        table = self.bundle.semantic_ids.codes_NS
        codes_S: CodeArray = table[row] if row < self.size else self.live_codes[row - self.size]
        return codes_S

    def counts(self) -> tuple[int, int]:
        """Live rows that may be found; rows of the bundle that may not."""
        return int((~self.live.gone_M).sum()), int(self.live.gone_N.sum())

    def _gives_way(self, change: Change) -> bool:
        older = change.time <= self._written
        return older and self.bundle.catalogue.rows.get(change.item_id) is not None

    def _put(self, change: Change, taken: Taken | IntakeError) -> Applied:
        """What cannot be taken in leaves the item as it was."""
        content, item_id = change.content, change.item_id
        assert content is not None
        if isinstance(taken, IntakeError):
            self.refused[item_id] = str(taken)
            return "refused"
        number = self._row_of.get(item_id)
        if number is None or not self._is(number, taken):
            self._set_gone(item_id, gone=True)
            number = self._add(_Row(item_id, None), taken)
        self._rows[number] = self._rows[number]._replace(title=content.title)
        self._attributes[number] = dict(content.attributes)
        self._patches.pop(item_id, None)
        self._told_attributes(item_id)
        self._set_gone(item_id, gone=False)
        self.refused.pop(item_id, None)
        return "applied"

    def _is(self, number: int, taken: Taken) -> bool:
        """What was taken in is what the row is: only title and attributes are new."""
        return all(np.array_equal(table.rows[number], part) for table, part in self._parts(taken))

    def _add(self, row: _Row, taken: Taken) -> int:
        number = len(self._rows)
        for table, part in self._parts(taken):
            table.add(part)
        self.alike.add(taken.alike)
        before = self.bundle.catalogue.rows.get(row.item_id)
        self._before.add(np.array([-1 if before is None else before]))
        _, _, since, first = self.mark(row.item_id)
        assert since is not None  # a put is being applied
        self.newcomers.add(row.item_id, since)
        self._first.add(np.array([first]))
        self._rows.append(row)
        self._attributes.append({})
        self._row_of[row.item_id] = number
        return number

    def _parts(self, taken: Taken) -> Sequence[tuple[Growing, NDArray[Any]]]:
        return (
            (self._codes, taken.codes_S),
            (self._scored, taken.scored_D),
            (self._read, taken.read_W),
        )

    def _delete(self, item_id: str) -> None:
        self._patches.pop(item_id, None)
        self.refused.pop(item_id, None)
        self._set_gone(item_id, gone=True)

    def _give_way(self, item_id: str) -> None:
        """To the bundle's row, which is as it was made."""
        self._set_gone(item_id, gone=True)
        self._row_of.pop(item_id, None)
        self._patches.pop(item_id, None)
        self._told_attributes(item_id)
        self._set_gone(item_id, gone=False)

    def _patch(self, item_id: str, attributes: Attributes) -> None:
        number = self._row_of.get(item_id)
        if number is None:
            self._patches[item_id] = {**self._patches.get(item_id, {}), **attributes}
        else:
            self._attributes[number] = patched(self._attributes[number], attributes)
        self._told_attributes(item_id)

    def _told_attributes(self, item_id: str) -> None:
        """Filters go by what it has now."""
        row = self.row(item_id)
        if row is not None:
            self.matching.put(row, self.attributes(row))

    def _set_gone(self, item_id: str, *, gone: bool) -> None:
        row = self.row(item_id)
        if row is not None:
            self._gone_now[row] = gone
