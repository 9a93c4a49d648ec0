"""A Redis that answers soon, or not at all: nothing is tried again behind whoever asks."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def open_redis(url: str, timeout: float) -> Any:
    """A client. timeout: seconds to connect, and to answer. Nothing is asked before it is used."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
