"""Three ways to serve the same shop with the same software.

static: the bundle of the first day, which hears of nothing. live: the same bundle, told of every
item that comes and goes and of all that users do. loop: that, and trained again every night by
``bbqrec-train follow``, whose gate decides.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.month.shop import Items, Shop, name_of, number_of
from benchmarks.reliability.client import Client
from service.events import table
from service.events.record import Event
from service.events.store import DONE
from service.events.storing import Progress
from training.follow.follow import JOURNAL

Way = Literal["static", "live", "loop"]
WAYS: tuple[Way, ...] = ("static", "live", "loop")
K = 10
DAY = 86_400  # seconds
_TRAIN = Path(sys.executable).with_name("bbqrec-train")
_TOML = """
name = "simulated-month"
output = "out"
[events]
click = 1
[interactions]
path = "events/done"
columns = {user = "user_id", item = "item_id", time = "time", type = "type"}
[items]
path = "items.jsonl"
columns = {title = "title", text = ["title", "description"]}
keep_unseen = true
[filter]
k_core = 3
[split]
kind = "temporal"
[quantize]
codebook_size = 16
levels = 3
vector_size = 16
hidden_size = 32
batch_size = 60
epochs = 12
[fit]
width = 64
blocks = 1
heads = 1
batch_tokens = 2048
learning_rate = 3e-3
epochs = 12
patience = 3
"""


class Use(NamedTuple):
    """A user took an item, so many seconds after the day's beginning."""

    user: int
    item: int
    second: int


class Files:
    """The shop's: what training reads. Day 0 is today: all that happens has happened by then."""

    def __init__(self, folder: Path, days: int) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.config = folder / "shop.toml"
        self.config.write_text(_TOML, encoding="utf-8")
        self.began = time.time() // DAY * DAY - days * DAY
        self.told = 0

    def event(self, use: Use, day: int) -> Event:
        """As the service is told."""
        self.told += 1
        at = self.began + day * DAY + use.second
        return Event(f"{self.told}", "click", f"user-{use.user}", name_of(use.item), at)

    def write_log(self, uses: Sequence[tuple[int, Use]]) -> None:
        """By day, as the service stores it: what was known before there was a service."""
        events = table.done([self.event(use, day) for day, use in uses])
        table.Table(self.folder / "events" / DONE, ["source", "id"]).add(events)

    def write_items(self, shop: Shop) -> None:
        """The items that are there, as a shop exports them every night."""
        lines = (
            json.dumps({"item_id": name_of(item)} | shop.text(item))
            for item in shop.there_I.nonzero()[0].tolist()
        )
        (self.folder / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def train(self) -> dict[str, Any]:
        """What ``follow`` wrote into its journal."""
        command = [str(_TRAIN), "follow", str(self.config), "--once", "--events", "100"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        journal = (self.folder / "out" / JOURNAL).read_text(encoding="utf-8")
        verdict: dict[str, Any] = json.loads(journal.splitlines()[-1])
        return verdict


class Served:
    """The service, asked and told as a shop would."""

    def __init__(self, way: Way, files: Files, port: int) -> None:
        self.way, self.files = way, files
        self.port, self.client = port, Client(port)

    def recommend(self, user: int, history: Sequence[int]) -> list[int]:
        """The best ten after a history, which the shop's page sends along."""
        asked: dict[str, Any] = {"history": [name_of(item) for item in history], "k": K}
        if self.way != "static":
            asked["user_id"] = f"user-{user}"
        return [
            number_of(each["item_id"]) for each in self._ask("POST", "/recommend", asked)["items"]
        ]

    def tell(self, use: Use, day: int) -> None:
        """What a user did."""
        if self.way != "static":
            event = self.files.event(use, day)._asdict()
            told = {name: value for name, value in event.items() if value not in (None, "")}
            self._ask("POST", "/events", {"events": [told]})

    def change(self, shop: Shop, new: Items, gone: Items) -> None:
        """Items come and go."""
        if self.way == "static":
            return
        for item in new.tolist():
            text = shop.text(item)
            self._ask("PUT", f"/items/{name_of(item)}", {"title": text["title"], "text": text})
        for item in gone.tolist():
            self._ask("DELETE", f"/items/{name_of(item)}", None)

    def night(self, shop: Shop) -> dict[str, Any]:
        """All that was told is stored; train, if this is the way that does."""
        if self.way != "loop":
            return {}
        self.files.write_items(shop)
        self._until_stored()
        before = self._model()
        verdict = self.files.train()
        if verdict["passed"]:
            until = time.monotonic() + 60
            while self._model() == before:
                if time.monotonic() > until:
                    raise RuntimeError("what was trained did not go live")
                time.sleep(0.1)
        return verdict

    def _until_stored(self) -> None:
        folder = self.files.folder / "events"
        position = self._ask("POST", "/events", {"events": [_NOTHING]})["position"]
        until = time.monotonic() + 60
        while Progress.read(folder).position < position:
            if time.monotonic() > until:
                raise RuntimeError("events were not stored")
            time.sleep(0.1)

    def _model(self) -> str:
        return str(self._ask("GET", "/model", None)["model_version"])

    def _ask(self, method: str, path: str, asked: Any) -> Any:
        body = None if asked is None else json.dumps(asked)
        try:
            status, answer = self.client.ask(method, path, body)
        except HTTPException:  # it was closed in a long night; nothing here is done twice
            self.client = Client(self.port)
            status, answer = self.client.ask(method, path, body)
        if status >= 300 and (method, status) != ("DELETE", 404):  # nothing was known of it
            raise RuntimeError(f"{method} {path}: {status}: {answer!r}")
        return json.loads(answer) if answer else None


_NOTHING = {"id": "end of a day", "type": "end", "user_id": "shop", "item_id": "none"}
