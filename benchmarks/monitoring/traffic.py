"""What a shop does all day: asks, puts items, tells what users do."""

import itertools
import json
import threading
from collections.abc import Sequence
from http.client import HTTPException

from benchmarks.reliability.client import Client

_PAUSE = 0.03  # seconds between two requests
_FOREIGN = json.dumps({"history": ["another-shop-1", "another-shop-2"]})


def batch(bodies: Sequence[str]) -> str:
    """One request of several."""
    return json.dumps({"requests": [json.loads(body) for body in bodies]})


class Traffic:
    """From a thread of its own, to the end of the block. foreign: ids are of another catalogue."""

    def __init__(self, port: int, bodies: Sequence[str]) -> None:
        self.port = port
        self.bodies = bodies
        self.foreign = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        client = Client(self.port)
        for number in itertools.count():
            if self._ended.wait(_PAUSE):
                return
            try:
                self._step(client, number)
            except (OSError, HTTPException):  # it is being stopped, or is not there any more
                client = Client(self.port)

    def _step(self, client: Client, number: int) -> None:
        body = self.bodies[number % len(self.bodies)]
        if self.foreign:
            body = _FOREIGN
        elif number % 20 == 0:
            body = json.dumps({"history": ["item-1", "another-shop-1"]})
        client.ask("POST", "/recommend", body)
        if number % 4 == 0:
            client.ask("POST", "/recommend/batch", batch([body] * 2))
        item = f"new-{number % 50}"
        if number % 5 == 0:
            client.put(item, f"item-{number % 100}")
        if number % 25 == 0:
            client.ask("DELETE", f"/items/item-{number % 500 + 100}")
            client.ask("PATCH", "/items/item-3", json.dumps({"attributes": {"price": number}}))
        if number % 10 == 0:
            event = {
                "type": "click",
                "id": f"e-{number}",
                "user_id": f"user-{number % 7}",
                "item_id": f"item-{number % 300}",
            }
            client.ask("POST", "/events", json.dumps({"events": [event]}))
