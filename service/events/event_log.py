"""The log of events: trimmed once its records are stored, never compacted."""

from service.events.record import Record, decode, encode
from service.log.log import Kind

EVENT_LOG: Kind[Record] = Kind("events.log", "bbqrec:events", encode, decode)
