"""What all connections of a process share: limits, a clock, who may come in, what was refused."""

import math
import re
import resource

from service.admission import Admission
from service.metrics import Metrics
from service.process.refusals import ANSWERS, Refusal
from service.process.slots import Slot
from service.settings import Settings

WORK = "/recommend"  # the route whose requests are admitted, or not
BATCH = "/recommend/batch"  # several of them: admitted, or not, together, and counted one by one
STREAMED = "/items"  # the route whose requests are as long as they like
_WORK = b"POST %s HTTP/1.1\r\n" % WORK.encode()
# What says where a request ends, and what becomes of its connection.
_TELLING = re.compile(
    rb"\r\n((?:content-length|transfer-encoding|expect|connection|upgrade) *): *([^\r\n]*)",
    re.IGNORECASE,
)
_KEEPS = {None: True, b"keep-alive": True, b"close": False}
_SPARE_FILES = 64  # what a process opens beside connections: the bundle, Redis, its log


class Gate:
    """One a process. Its clock ticks at every sweep: standing still cuts nobody off."""

    def __init__(self, settings: Settings, metrics: Metrics, slot: Slot) -> None:
        self.metrics = metrics
        self.slot = slot
        self.admission = Admission(settings.max_wait, settings.max_batch)
        self.max_head_bytes = settings.max_head_bytes
        self.max_connections = _affordable(settings.max_connections)
        self.read_ticks = math.ceil(settings.read_timeout)
        self.idle_ticks = math.ceil(settings.keep_alive)
        self.now = 0  # ticks, of a second each
        # Connections that are being opened, each with a request, as a rule: of a crowd that waits
        # at the door no more come in than can be answered.
        self.coming = 0
        self.draining = False

    def turns_away(self, data: bytes) -> bytes | None:
        """The answer to a whole request for work where the house is full; it is counted as refused.

        None where it may come in, or where only a parser can tell. To parse a request costs more
        than to refuse one, and can be spared.
        """
        if not (self.admission.full(self.coming) and data.startswith(_WORK)):
            return None
        head, _, body = data.partition(b"\r\n\r\n")
        lines = _TELLING.findall(head)
        told = {name.lower(): value.strip().lower() for name, value in lines}
        once = len(told) == len(lines)  # who says two lengths means mischief
        keeps = _KEEPS.get(told.pop(b"connection", None))
        if not once or keeps is None or told != {b"content-length": b"%d" % len(body)}:
            return None
        self.refuse(Refusal.OVERLOAD, WORK)
        answer = ANSWERS[Refusal.OVERLOAD]
        return answer.kept if keeps else answer.closed

    def refuse(self, refusal: Refusal, route: str = "other") -> None:
        """Count it."""
        self.metrics.count_refusal(refusal.value, route, ANSWERS[refusal].status)


def _affordable(connections: int) -> int:
    """As many as asked for, or as there may be open files."""
    needed = connections + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(connections, max(1, soft - _SPARE_FILES))
