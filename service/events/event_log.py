"""The log of events: trimmed once its records are stored, never compacted."""

from service.events.record import Record, decode, encode
from service.events.storing import Storing
from service.log.file_log import FileLog
from service.log.log import Kind, Log
from service.log.redis_log import RedisLog

EVENT_LOG: Kind[Record] = Kind("events.log", "bbqrec:events", encode, decode)


def open_events(storing: Storing) -> Log[Record]:
    """Nothing is touched before it is read or written. Raises ImportError without the extra."""
    if storing.kafka is not None:
        from service.log.kafka_log import KafkaLog

        return KafkaLog(storing.kafka, EVENT_LOG, storing.kafka_options)
    if storing.log_url is not None:
        return RedisLog(storing.log_url, EVENT_LOG)
    return FileLog(storing.folder, EVENT_LOG)
