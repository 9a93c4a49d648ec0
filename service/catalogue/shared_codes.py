"""SharedCodes: codes and vectors of live items in Redis, for replicas and for other readers.

A hash an item, ``bbqrec:<bundle's digest>:codes:<item_id>``: ``codes``, (S,) uint16; ``scored``,
(D,) and ``read``, (W,) float32; ``alike``, (J,) int32, ``after`` and ``before``, (J,) float32, as
in ``Alike``; little-endian; ``content``, a digest of what they were made of. One
replica encodes, the others read. It is a cache: Redis may be slow, gone, or hold rubbish, and what
is not found there is encoded once more. No request waits for it; after a failure nobody asks for a
while.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import redis

from models.contract.bundle import Bundle
from models.contract.intake import Taken
from models.contract.likeness import NEAREST, Alike
from service.catalogue.soon import Soon
from service.log.redis_client import open_redis
from service.metrics import Metrics
from service.settings import Settings

log = logging.getLogger("bbqrec")
_RESOLVED = 1.0  # seconds: sockets have time-outs of their own, but not the look-up of a name
_TYPES = {"codes": "<u2", "scored": "<f4", "read": "<f4"}
_OF_ALIKE = {"alike": "<i4", "after": "<f4", "before": "<f4"}
_FIELDS = ("content", *_TYPES, *_OF_ALIKE)


class Made(NamedTuple):
    """An item's row, and the digest of the content that it was made of."""

    item_id: str
    content: bytes
    taken: Taken


class SharedCodes:
    """Of one bundle. For one thread at a time, or several: the client keeps a pool."""

    def __init__(self, bundle: Bundle, settings: Settings, metrics: Metrics) -> None:
        architecture = bundle.manifest.architecture
        self.digest = bundle.digest
        self.items = len(bundle.catalogue)
        self.null_code = architecture.code_space.null_code
        self.sizes = (
            architecture.code_space.slots,
            bundle.vectors.scored_ND.shape[1],
            bundle.vectors.read_NW.shape[1],
        )
        self.settings = settings
        self.metrics = metrics
        self.client = open_redis(str(settings.redis_url), settings.redis_timeout)
        self._soon = Soon(_RESOLVED)
        self._again = 0.0  # when to ask after a failure, of the monotonic clock
        self._warned = False

    @property
    def available(self) -> bool:
        """It answered when it was asked last."""
        return not self._again

    def get(self, wanted: Mapping[str, bytes]) -> dict[bytes, Taken]:
        """Rows by content, of ids and the content that they have now."""
        if not wanted:
            return {}
        found: dict[bytes, Taken] = {}
        with self.metrics.cache.labels("redis").time():
            answers = self._ask([("hmget", item_id, list(_FIELDS)) for item_id in wanted])
        for content, values in zip(wanted.values(), answers, strict=False):
            if values[0] == content and (taken := self._read(values[1:])) is not None:
                found[content] = taken
        self.metrics.count_lookups("redis", [found.get(content) for content in wanted.values()])
        return found

    def put(self, made: Sequence[Made]) -> None:
        """For whoever asks."""
        calls: list[tuple[Any, ...]] = []
        for item_id, content, taken in made:
            arrays, dtypes = (*taken[:-1], *taken.alike), (*_TYPES.values(), *_OF_ALIKE.values())
            values = content, *map(_bytes, arrays, dtypes)
            calls.append(("hset", item_id, None, None, dict(zip(_FIELDS, values, strict=True))))
            calls.append(("expire", item_id, self.settings.redis_ttl))
        self._ask(calls)

    def forget(self, item_ids: Sequence[str]) -> None:
        """They are deleted."""
        self._ask([("delete", item_id) for item_id in item_ids])

    def close(self) -> None:
        """Disconnect."""
        self.client.close()

    def _ask(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Answers of calls by name, item and the rest; none where Redis fails."""
        if not calls or time.monotonic() < self._again:
            return []
        try:
            answers = self._soon.call(partial(self._execute, calls))
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return []
        if self._warned:
            log.info("Redis answers again")
        self._again, self._warned = 0.0, False
        self.metrics.cache_away.set(0)
        return answers

    def _execute(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        with self.client.pipeline(transaction=False) as pipeline:
            for name, item_id, *rest in calls:
                getattr(pipeline, name)(f"bbqrec:{self.digest}:codes:{item_id}", *rest)
            answers: list[Any] = pipeline.execute()
        return answers

    def _failed(self, error: Exception) -> None:
        self._again = time.monotonic() + self.settings.redis_pause
        self.metrics.cache_errors.inc()
        self.metrics.cache_away.set(1)
        if not self._warned:
            log.warning("going on without Redis: %s: %s", type(error).__name__, error)
        self._warned = True

    def _read(self, values: Sequence[object]) -> Taken | None:
        """What the bundle's tables could hold; None for whatever else is there."""
        row, alike = values[: len(_TYPES)], values[len(_TYPES) :]
        arrays = list(map(_array, row, _TYPES.values()))
        if tuple(map(len, arrays)) != self.sizes or arrays[0].max() > self.null_code:
            return None
        if not all(np.isfinite(vector).all() for vector in arrays[1:]):
            return None
        if (found := self._read_alike(alike)) is None:
            return None
        scored_D, read_W = (vector.astype(np.float32) for vector in arrays[1:])
        return Taken(arrays[0].astype(np.uint16), scored_D, read_W, found)

    def _read_alike(self, values: Sequence[object]) -> Alike | None:
        """Rows that there are, and what they are worth, which is never less than nothing."""
        rows_J, *scores = map(_array, values, _OF_ALIKE.values())
        if {len(part) for part in scores} != {len(rows_J)} or len(rows_J) > NEAREST:
            return None
        fit = ((rows_J >= 0) & (rows_J < self.items)).all()
        if not fit or not all((np.isfinite(part) & (part >= 0)).all() for part in scores):
            return None
        return Alike(rows_J.astype(np.int32), *(part.astype(np.float32) for part in scores))


def _bytes(array: Any, dtype: str) -> bytes:
    content: bytes = array.astype(dtype).tobytes()
    return content


def _array(value: object, dtype: str) -> Any:
    if not isinstance(value, bytes) or len(value) % np.dtype(dtype).itemsize:
        return np.empty(0, dtype)
    return np.frombuffer(value, dtype)
