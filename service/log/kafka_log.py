"""The log as a topic of Kafka: for who has one that events go through anyway.

One partition, the first: its order is that in which all apply what is there, and an entry's
position is its offset and one. What a topic keeps, and for how long, is Kafka's business; what is
stored is deleted from it where the broker can.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from service.log.log import Entry, EntryError, Kind, LogError, T, pass_over

log = logging.getLogger("bbqrec")
_TIMEOUT = 2.0  # seconds to connect and to answer
_PARTITION = 0
_POLL = 0.05  # seconds between looks at what the broker has acknowledged
_NOT_THERE = (  # yet: nothing was ever appended
    *(KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC),
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
_SILENT = 0  # else the library writes a line itself, each time it cannot connect


class KafkaLog(Generic[T]):
    """A topic, made where it is missing. Nothing is asked before it is used."""

    def __init__(self, servers: str, kind: Kind[T], options: Mapping[str, str]) -> None:
        """``options``: of librdkafka, such as ``security.protocol``."""
        self.kind = kind
        self.topic = kind.key.replace(":", "-")
        self.told: dict[str, Any] = {
            "bootstrap.servers": servers,
            "socket.timeout.ms": int(1000 * _TIMEOUT),
            "log_level": _SILENT,
            "reconnect.backoff.ms": 200,
            "reconnect.backoff.max.ms": int(1000 * _TIMEOUT),
            **options,
        }
        self._producer: Producer | None = None
        self._there = self._tells = False
        self._making = threading.Lock()

    def append(self, values: Sequence[T]) -> list[int]:
        """Once all replicas that are in step have them. Raises LogError."""
        with _said():
            producer = self._ready()
            sent = _Sent(len(values))
            for at, value in enumerate(values):
                # The position is Kafka's to give: it is the offset.
                line = self.kind.encode(Entry(0, value))
                producer.produce(
                    self.topic, line, partition=_PARTITION, on_delivery=sent.heard_of(at)
                )
            while not sent.whole():
                producer.poll(_POLL)
            return sent.positions()

    def reader(self) -> "KafkaReader[T]":
        """One at position 0."""
        return KafkaReader(self.told, self.topic, self.kind.decode, self._ready)

    def compact_if_due(self) -> bool:
        """Never: it is trimmed."""
        return False

    def trim(self, position: int, most: int, lasts: Callable[[bytes], bool]) -> None:
        """Forget all entries up to this one, where the broker can: none of them lasts."""
        admin = AdminClient(self.told)  # which must live for as long as its answer is waited for
        upto = TopicPartition(self.topic, _PARTITION, position)
        try:
            for done in admin.delete_records([upto]).values():
                done.result(_TIMEOUT)
        except (KafkaException, TimeoutError) as error:
            if not self._tells:
                log.warning("%s is not trimmed, its retention has to: %s", self.topic, error)
            self._tells = True

    def close(self) -> None:
        """Give up what was not delivered: whoever appended it was told."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(_TIMEOUT)

    def _ready(self) -> Producer:
        """To a topic that is there."""
        with self._making:
            if self._producer is None:
                timeout = {"message.timeout.ms": int(1000 * _TIMEOUT), "linger.ms": 0}
                # Not idempotent, which may end in faults that last: what comes twice is one event.
                self._producer = Producer(self.told | timeout | {"acks": "all"})
            if not self._there:
                if self.topic not in self._producer.list_topics(timeout=_TIMEOUT).topics:
                    self._make()
                    # Where that was not allowed: to ask for it by name may make it, too.
                    self._producer.list_topics(self.topic, timeout=_TIMEOUT)
                self._there = True
            return self._producer

    def _make(self) -> None:
        """With one partition, kept until it is trimmed; a broker may make topics by itself."""
        admin = AdminClient(self.told)
        topic = NewTopic(self.topic, 1, config={"retention.ms": "-1"})
        for made in admin.create_topics([topic]).values():
            try:
                made.result(_TIMEOUT)
            except (KafkaException, TimeoutError) as error:
                log.warning("topic %s could not be made: %s", self.topic, error)


class _Sent:
    """What became of messages that were sent together."""

    def __init__(self, count: int) -> None:
        self.offsets: list[int | None] = [None] * count  # -1: it was not kept
        self.fault: KafkaError | None = None

    def heard_of(self, at: int) -> Callable[[KafkaError | None, Any], None]:
        """For the message at this place; called in whatever thread polls."""

        def heard(fault: KafkaError | None, message: Any) -> None:
            self.fault = self.fault or fault
            self.offsets[at] = -1 if fault else message.offset()

        return heard

    def whole(self) -> bool:
        """Whether all is heard."""
        return None not in self.offsets

    def positions(self) -> list[int]:
        """Raises KafkaException where any was not kept."""
        if self.fault is not None:
            raise KafkaException(self.fault)
        return [offset + 1 for offset in self.offsets if offset is not None]


class KafkaReader(Generic[T]):
    """Reads one partition from its beginning, in no group: each reader has its own place."""

    def __init__(
        self,
        told: Mapping[str, Any],
        topic: str,
        decode: Callable[[bytes], Entry[T]],
        ready: Callable[[], object],
    ) -> None:
        self.position = 0
        self._told = told
        self._topic = topic
        self._decode = decode
        self._ready = ready
        self._opened: Consumer | None = None

    def read(self, most: int, patience: float = 0.0) -> list[Entry[T]]:
        """The next entries. Raises LogError."""
        until = time.monotonic() + patience
        with _said():
            consumer = self._consumer()
            while messages := self._messages(consumer, most, until):
                if entries := self._entries(messages):
                    return entries
            return []

    def ends_before(self, position: int) -> bool:
        """Whether the topic does. Raises LogError."""
        with _said():
            ends = self._ends(self._consumer())
            return ends is not None and ends[1] < position

    def close(self) -> None:
        """Leave."""
        if self._opened is not None:
            self._opened.close()

    def _messages(self, consumer: Consumer, most: int, until: float) -> list[Any]:
        first = consumer.poll(max(0.0, until - time.monotonic()))
        if first is None and self._is_more(consumer):
            first = consumer.poll(_TIMEOUT)
        if first is None:
            return []
        return [first, *consumer.consume(most - 1, 0.0)] if most > 1 else [first]

    def _consumer(self) -> Consumer:
        if self._opened is None:
            self._ready()
            self._opened = Consumer(
                {
                    **self._told,
                    "group.id": uuid.uuid4().hex,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "fetch.wait.max.ms": 50,
                    "fetch.error.backoff.ms": 50,
                }
            )
            self._opened.assign([TopicPartition(self._topic, _PARTITION, self.position)])
        return self._opened

    def _is_more(self, consumer: Consumer) -> bool:
        """Whether the topic goes on; from its start, where it ends before what was read.

        What it no longer keeps is passed over.
        """
        ends = self._ends(consumer)
        if ends is None:
            return False
        first, end = ends
        if end < self.position:
            log.error("topic %s was made anew; it is read from its start", self._topic)
            self.position = 0
            consumer.seek(TopicPartition(self._topic, _PARTITION, first))
        self.position = max(self.position, first)
        return bool(end > self.position)

    def _ends(self, consumer: Consumer) -> tuple[int, int] | None:
        """Offsets of the first message and after the last; None where there is no topic yet."""
        partition = TopicPartition(self._topic, _PARTITION)
        try:
            first, end = consumer.get_watermark_offsets(partition, timeout=_TIMEOUT)
        except KafkaException as error:
            if error.args[0].code() not in _NOT_THERE:
                raise
            # Of a broker that is gone the library says the same: then this raises.
            consumer.list_topics(self._topic, timeout=_TIMEOUT)
            return None
        return first, end

    def _entries(self, messages: Sequence[Any]) -> list[Entry[T]]:
        """A fault is raised where nothing came with it: what did would not come again."""
        found, fault = list[Entry[T]](), None
        for message in messages:
            if message.error() is None:
                self.position = message.offset() + 1
                if (entry := self._decoded(message.value())) is not None:
                    found.append(entry)
            elif message.error().code() not in _NOT_THERE:
                fault = message.error()
        if fault is not None and not found:
            raise KafkaException(fault)
        return found

    def _decoded(self, line: bytes) -> Entry[T] | None:
        try:
            return Entry(self.position, self._decode(line).value)
        except EntryError as error:
            pass_over(self.position, f"topic {self._topic}", error)
            return None


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (KafkaException, BufferError) as error:
        raise LogError(f"the log in Kafka is not to be had: {error}") from error
