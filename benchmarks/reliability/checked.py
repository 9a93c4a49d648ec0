"""A calm load whose every answer is looked into: would the model that it names give it?

    python -m benchmarks.reliability.checked PORT SECONDS RATE BODIES.json EXPECTED.json

EXPECTED: model_version -> the items of each body, best first. Prints one JSON line.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import uvloop

from benchmarks.reliability.flood import Asked, Flood
from benchmarks.serving.load import request

_SEPARATOR = b"\r\n\r\n"


class Checked(Flood):
    """Keeps every answer, to look into when the load is over: the service shares the machine."""

    def __init__(self, port: int, bodies: list[str]) -> None:
        super().__init__(port, [request(body) for body in bodies], fresh=False)
        self.asked: dict[Asked, int] = {}
        self.answers: list[tuple[int, bytes]] = []  # of which body, and what

    def _ask(self, connection: Asked) -> None:
        self.asked[connection] = self.sent % len(self.requests)
        super()._ask(connection)

    def _book(self, connection: Asked) -> None:
        super()._book(connection)
        if connection.received.startswith(b"HTTP/1.1 200"):
            self.answers.append((self.asked[connection], connection.received))

    def looked_into(self, expected: dict[str, list[list[str]]]) -> tuple[int, Counter[str]]:
        """How many are not what the model that they name would give; how many name each."""
        mixed, versions = 0, Counter[str]()
        for body, received in self.answers:
            answer = json.loads(received.partition(_SEPARATOR)[2])
            version = answer["model_version"]
            versions[version] += 1
            mixed += [item["item_id"] for item in answer["items"]] != expected[version][body]
        return mixed, versions


async def main(port: int, seconds: float, rate: float, bodies: Path, expected: Path) -> None:
    """Offer the load, until its time is up or a line comes in, and print what came of it."""
    asked, answers = (json.loads(path.read_text(encoding="utf-8")) for path in (bodies, expected))
    flood = Checked(port, asked)
    asyncio.get_running_loop().add_reader(sys.stdin, setattr, flood, "stopped", True)
    outcome = await flood.flood(seconds, rate)
    mixed, versions = flood.looked_into(answers)
    print(json.dumps({"outcome": outcome._asdict(), "mixed": mixed, "versions": versions}))


if __name__ == "__main__":
    port, seconds, rate, bodies, expected = sys.argv[1:]
    uvloop.run(main(int(port), float(seconds), float(rate), Path(bodies), Path(expected)))
