"""Sets of rows on their way to the engine process: a large one crosses once, then its key does.

Both ends keep the latest of them, see the same ones in the same order, and so forget the same.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from service.engine.wire import INT64, UINT8, FrameError
from service.retrieval.rows import RowSet

MOST = 64  # sets that are kept for a connection
_SMALL = 512  # rows: so few cross each time, for a request may bring its own
Interned = MutableMapping[str, RowSet]


class Told(NamedTuple):
    """What is said of a set; where it is not known already, an array goes with it.

    key: it is kept under this. form: ``known``, ``rows``, or ``bits``, whichever is shorter.
    """

    key: str | None
    form: str


class Kept:
    """The latest sets of one connection, at either end."""

    def __init__(self) -> None:
        self._sets: dict[str, RowSet] = {}  # the latest is last; copied for each question

    def get(self, key: str) -> RowSet | None:
        """It is the latest now."""
        if (found := self._sets.pop(key, None)) is not None:
            self._sets[key] = found
        return found

    def put(self, key: str, rows: RowSet) -> None:
        """A new one."""
        self._sets[key] = rows
        if len(self._sets) > MOST:
            del self._sets[next(iter(self._sets))]

    def copy(self) -> "Kept":
        """As it is now."""
        copied = Kept()
        copied._sets = self._sets.copy()
        return copied


class Sender:
    """The end of a connection that has the sets."""

    def __init__(self) -> None:
        self.kept = Kept()
        self._keys: WeakKeyDictionary[RowSet, Told] = WeakKeyDictionary()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Where this fails, what was told in it has not been sent, and is told again."""
        before = self.kept.copy()
        try:
            yield
        except BaseException:
            self.kept = before
            raise

    def tell(self, rows: RowSet, *, keep: bool = False) -> tuple[Told, NDArray[Any] | None]:
        """keep: however small it is, it will come again."""
        if not keep and rows.count <= _SMALL:
            return Told(None, "rows"), rows.rows
        if (told := self._keys.get(rows)) is None:
            told = self._keys[rows] = _told(rows)
        assert told.key is not None
        if self.kept.get(told.key) is not None:
            return told._replace(form="known"), None
        self.kept.put(told.key, rows)
        return told, _array(rows, told.form)


class Receiver:
    """The other end; sets are of the first ``size`` rows.

    interned: of all connections to one bundle, so that one filter of several workers is one set.
    """

    def __init__(self, size: int, interned: Interned) -> None:
        self.size = size
        self.interned = interned
        self.kept = Kept()

    def take(self, told: Told, arrays: Iterator[NDArray[Any]]) -> RowSet:
        """Raises FrameError for one that is not known, or is none."""
        if told.form == "known":
            found = None if told.key is None else self.kept.get(told.key)
            if found is None:
                raise FrameError("a set of rows is named that was never told")
            return found
        rows = self._made(told.form, next(arrays))
        if told.key is not None:
            rows = self.interned.setdefault(told.key, rows)
            self.kept.put(told.key, rows)
        return rows

    def _made(self, form: str, array: NDArray[Any]) -> RowSet:
        if form == "bits" and array.dtype == UINT8 and len(array) == -(-self.size // 8):
            return RowSet(self.size, bits=array)
        if form == "rows" and array.dtype == INT64 and _within(array, self.size):
            return RowSet(self.size, rows=array)
        raise FrameError("a set of rows is none of this bundle")


def _told(rows: RowSet) -> Told:
    form = "rows" if 64 * rows.count < rows.size else "bits"
    hashed = blake2b(_array(rows, form).data, digest_size=16, person=form.encode())
    return Told(hashed.hexdigest(), form)


def _array(rows: RowSet, form: str) -> NDArray[Any]:
    return rows.rows if form == "rows" else rows.bits


def _within(rows_J: NDArray[Any], size: int) -> bool:
    return not len(rows_J) or bool(rows_J.min() >= 0 and rows_J.max() < size)
