"""Requests as a small shop has them: `python load.py URL`, RATE of them a second.

Histories are of the most used items. With BBQREC_EVENTS_KEY some of what is recommended is clicked.
"""

import json
import os
import random
import sys
import time
import urllib.request
import uuid
from typing import Any


def ask(url: str, body: object = None, key: str = "") -> Any:
    """An answer; None where there is none just now: an HTTPError is an OSError."""
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


def main(url: str, rate: float, key: str) -> None:
    """For ever."""
    items: list[str] = []
    while True:
        began = time.monotonic()
        if not items:
            found = ask(f"{url}/items?limit=100")
            items = [item["item_id"] for item in found["items"]] if found else []
        user = f"load-{random.randrange(1000)}"
        history = random.sample(items, min(len(items), random.randrange(6)))
        answer = ask(f"{url}/recommend", {"user_id": user, "history": history})
        if key and answer and answer["items"] and random.random() < 0.1:
            taken = random.choice(answer["items"])["item_id"]
            event = {"id": uuid.uuid4().hex, "type": "click", "user_id": user, "item_id": taken,
                     "recommendation_id": answer["recommendation_id"]}  # fmt: skip
            ask(f"{url}/events", {"events": [event]}, key)
        time.sleep(max(0.0, began + random.expovariate(rate) - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], float(os.environ.get("RATE", "20")), os.environ.get("BBQREC_EVENTS_KEY", ""))
