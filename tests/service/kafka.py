"""A broker that speaks Kafka's protocol on a port of this machine: librdkafka's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer


@contextmanager
def kafka_broker(*topics: str) -> Iterator[str]:
    """Its address. It keeps what it is given in memory; it makes topics when they are first asked
    for, not when told to, and cannot delete records.
    """
    holder = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    for topic in topics:
        holder.list_topics(topic, timeout=10)
    (broker,) = holder.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    del holder  # and with it the broker ends
