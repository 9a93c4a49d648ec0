"""The log in a topic of Kafka: a broker that librdkafka holds, spoken to over its port."""

import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from service.events.event_log import EVENT_LOG
from service.events.record import Record
from service.log.kafka_log import KafkaLog
from service.log.log import Entry, LogError, Reader
from tests.service.events.made import event
from tests.service.kafka import kafka_broker


@pytest.fixture
def kafka() -> Iterator[str]:
    with kafka_broker("bbqrec-events") as address:
        yield address


def log_at(address: str) -> KafkaLog[Record]:
    return KafkaLog(address, EVENT_LOG, {})


def everything(reader: Reader[Record]) -> list[Entry[Record]]:
    found: list[Entry[Record]] = []
    while entries := reader.read(3):
        found += entries
    return found


def test_what_was_appended_is_read_in_order_by_any_replica(kafka: str) -> None:
    log, another = log_at(kafka), log_at(kafka)
    reader = log.reader()
    assert (reader.read(10), reader.position) == ([], 0)
    sent = [event(str(n)) for n in range(7)]
    assert log.append(sent[:5]) == [1, 2, 3, 4, 5]
    assert another.append(sent[5:]) == [6, 7]
    expected = [*map(Entry, range(1, 8), sent)]
    assert everything(reader) == everything(another.reader()) == expected
    assert reader.position == 7
    assert another.append([event("late")]) == [8]
    assert [entry.position for entry in reader.read(10)] == [8]


def test_all_that_is_there_is_read_without_patience(kafka: str) -> None:
    """A start replays until nothing more comes: what is still on its way must not end it."""
    log_at(kafka).append([event(str(n)) for n in range(5000)])
    assert len(everything(log_at(kafka).reader())) == 5000


def test_who_waits_hears_at_once(kafka: str) -> None:
    log = log_at(kafka)
    reader, heard = log.reader(), list[Entry[Record]]()
    reader.read(1)
    waiting = threading.Thread(target=lambda: heard.extend(reader.read(1000, 30)))
    waiting.start()
    started = time.monotonic()
    log.append([event("now")])
    waiting.join(30)
    assert [entry.position for entry in heard] == [1]
    assert time.monotonic() - started < 10


def test_several_may_append_at_once(kafka: str) -> None:
    log, given = log_at(kafka), list[int]()

    def append(name: int) -> None:
        given.extend(log.append([event(f"{name}-{n}") for n in range(20)]))

    threads = [threading.Thread(target=append, args=(name,)) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == [*range(1, 101)]


def test_a_topic_that_is_not_there_is_empty_and_made() -> None:
    with kafka_broker() as address:
        log = log_at(address)
        reader = log.reader()
        assert reader.read(10) == []
        log.append([event("1")])
        assert [entry.position for entry in reader.read(10, 10)] == [1]


def test_without_a_broker_it_is_said_and_well_once_there_is_one() -> None:
    with kafka_broker() as address:
        log = log_at(address)
        reader = log.reader()
        log.append([event("before")])
        assert len(reader.read(10)) == 1
    with pytest.raises(LogError, match="the log in Kafka is not to be had"):
        log.append([event("lost")])
    with pytest.raises(LogError, match="the log in Kafka is not to be had"):
        log_at(address).reader().read(10)
    for _ in range(3):  # not that there is nothing new
        with pytest.raises(LogError, match="the log in Kafka is not to be had"):
            reader.read(10, 0.1)


def test_messages_of_somebody_else_cost_no_other(
    kafka: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = log_at(kafka)
    log.append([event("1")])
    producer = Producer({"bootstrap.servers": kafka})
    for _ in range(4):
        producer.produce("bbqrec-events", b"hello", partition=0)
    producer.flush(10)
    log.append([event("2")])
    reader = log.reader()
    assert [entry.position for entry in everything(reader)] == [1, 6]
    assert caplog.text.count("position 5 of") == 1
    assert reader.ends_before(7)
    assert not reader.ends_before(6)


def test_a_broker_that_cannot_trim_is_told_of_once(
    kafka: str, caplog: pytest.LogCaptureFixture
) -> None:
    """This one cannot: its topic goes on as it is."""
    log = log_at(kafka)
    log.append([event("1"), event("2")])
    log.trim(1, 0, bool)
    log.trim(2, 0, bool)
    (said,) = caplog.messages
    assert "bbqrec-events is not trimmed, its retention has to" in said
    assert len(everything(log.reader())) == 2
    log.close()
