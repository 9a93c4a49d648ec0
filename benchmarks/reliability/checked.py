"""A calm load whose every answer is looked into: would the model that it names give it?

    python -m benchmarks.reliability.checked PORT SECONDS RATE BODIES.json EXPECTED.json

EXPECTED: model_version -> the items of each body, best first. Prints one JSON line.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from benchmarks.reliability.flood import Asked, Flood
from benchmarks.serving.load import request

_SEPARATOR = b"\r\n\r\n"


class Checked(Flood):
    """Books, of every answer, which model gave it, and whether that model would."""

    def __init__(self, port: int, bodies: list[str], expected: dict[str, list[list[str]]]) -> None:
        super().__init__(port, [request(body) for body in bodies], fresh=False)
        self.expected = expected
        self.mixed = 0
        self.versions: Counter[str] = Counter()
        self.asked: dict[Asked, int] = {}

    def _ask(self, connection: Asked) -> None:
        self.asked[connection] = self.sent % len(self.requests)
        super()._ask(connection)

    def _book(self, connection: Asked) -> None:
        super()._book(connection)
        if not connection.received.startswith(b"HTTP/1.1 200"):
            return
        answer = json.loads(connection.received.partition(_SEPARATOR)[2])
        items = [item["item_id"] for item in answer["items"]]
        version = answer["model_version"]
        self.versions[version] += 1
        self.mixed += items != self.expected[version][self.asked[connection]]


async def main(port: int, seconds: float, rate: float, bodies: Path, expected: Path) -> None:
    """Offer the load, until its time is up or a line comes in, and print what came of it."""
    asked, answers = (json.loads(path.read_text(encoding="utf-8")) for path in (bodies, expected))
    flood = Checked(port, asked, answers)
    asyncio.get_running_loop().add_reader(sys.stdin, setattr, flood, "stopped", True)
    outcome = await flood.flood(seconds, rate)
    found = {"mixed": flood.mixed, "versions": dict(flood.versions)}
    print(json.dumps({"outcome": outcome._asdict(), **found}))


if __name__ == "__main__":
    port, seconds, rate, bodies, expected = sys.argv[1:]
    asyncio.run(main(int(port), float(seconds), float(rate), Path(bodies), Path(expected)))
