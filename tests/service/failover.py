"""A Redis that falls back to what its replica had got, as where that takes over from it."""

from pathlib import Path
from typing import Any

import redis

from tests.service.conftest import RedisServer
from tests.service.program import eventually


class Failover:
    """What a server fell back to: all that its replica had got."""

    def __init__(self, server: RedisServer, directory: Path) -> None:
        self.replica = RedisServer(directory)
        self.client = redis.Redis.from_url(server.url)
        self.replica.start()
        with redis.Redis.from_url(self.replica.url) as replica:
            _follow(replica, server)
            replica.replicaof("NO", "ONE")

    def happen(self) -> None:
        _follow(self.client, self.replica)
        self.client.replicaof("NO", "ONE")
        self.client.close()
        self.replica.stop()


def _follow(follower: Any, server: RedisServer) -> None:
    follower.config_set("repl-diskless-sync-delay", 0)
    with redis.Redis.from_url(server.url) as master:
        master.config_set("repl-diskless-sync-delay", 0)
    follower.replicaof("127.0.0.1", str(server.port))
    assert eventually(lambda: follower.info("replication")["master_link_status"] == "up", 10)
