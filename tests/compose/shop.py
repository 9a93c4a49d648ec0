"""A shop of one's own, for a live stack: `shop.py FOLDER` writes it, `shop.py` prints events.

Items are of ten kinds, and whoever buys one buys others of its kind. Stdlib only.
"""

import csv
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

KINDS, EACH, USERS, BOUGHT = 10, 12, 400, 8
DAYS = 30 * 86_400
AT_ONCE = 200  # events of a request
CONFIG = """\
name = "shop"
output = "../artifacts/shop"

[interactions]
path = "log.csv"
type = "purchase"
stored = "../events/done"

[events]
purchase = 4
click = 1

[items]
path = "items.csv"

[quantize]
epochs = 5

[fit]
epochs = 3
"""


def histories(seed: int) -> Iterator[tuple[str, list[str]]]:
    """A user, and what they took, in order."""
    draw = random.Random(seed)
    for user in range(USERS):
        kind = draw.randrange(KINDS)
        items = draw.sample(range(EACH), BOUGHT)
        yield f"user-{seed}-{user}", [f"kind-{kind}-item-{item}" for item in items]


def write(folder: Path) -> None:
    """Its log, its catalogue and its configuration."""
    begin = time.time() - DAYS
    with (folder / "log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["user_id", "item_id", "timestamp"])
        for number, (user, items) in enumerate(histories(0)):
            start = begin + (DAYS - 3_600) * number / USERS
            log.writerows([user, item, int(start) + at] for at, item in enumerate(items))
    with (folder / "items.csv").open("w", newline="") as file:
        catalogue = csv.writer(file)
        catalogue.writerow(["item_id", "title"])
        for kind in range(KINDS):
            catalogue.writerows(
                [f"kind-{kind}-item-{item}", f"A thing of kind {kind}, number {item}"]
                for item in range(EACH)
            )
    (folder / "shop.toml").write_text(CONFIG)


def events() -> None:
    """A request a line."""
    told = [(user, item) for user, items in histories(1) for item in items]
    begin = time.time() - len(told)
    found = [
        {"id": f"e{n}", "type": "click", "user_id": user, "item_id": item, "time": begin + n}
        for n, (user, item) in enumerate(told)
    ]
    for first in range(0, len(found), AT_ONCE):
        print(json.dumps({"events": found[first : first + AT_ONCE]}))


if __name__ == "__main__":
    write(Path(sys.argv[1])) if len(sys.argv) > 1 else events()
