"""The story: a service that is well, and what befalls it, act by act."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.monitoring.prometheus import Prometheus
from benchmarks.monitoring.redis import Redis
from benchmarks.monitoring.traffic import Traffic, batch
from benchmarks.reliability.broken import edit, flip
from benchmarks.reliability.client import Client
from benchmarks.reliability.overload import offer
from benchmarks.reliability.program import Program
from benchmarks.serving import drawn_bundle
from models.contract.bundle import FILES, MANIFEST
from models.contract.store import BundleStore

_ITEMS = 2000
SCENARIOS_FILE, SCENARIOS = "scenarios.toml", "[home]\nk = 5\n"
_OTHER = "drawn anew"  # what the second bundle is called
_PATIENCE = 45.0  # seconds until what an act should set off is taken not to
_FLOOD = 3  # times saturation
_LARGE, _STOPS = 100, 25  # requests of a batch, and batches in which it stands still
_BEGUN, _STANDS = 0.02, 1.2  # seconds until it does, and for how long


class Act(NamedTuple):
    """What happens, and which alerts that sets off."""

    name: str
    alerts: frozenset[str]
    begin: Callable[[], None]
    end: Callable[[], None] = lambda: None
    least: float = 0.0  # seconds that it lasts


class Told(NamedTuple):
    """An act that is over: when it was, and which alerts were firing when."""

    act: Act
    start: float
    end: float
    fired: dict[str, float]


class Shop:
    """Everything that things are done to."""

    def __init__(
        self, folder: Path, program: Program, cache: Redis, log: Redis, traffic: Traffic
    ) -> None:
        self.folder, self.scenarios = folder, folder / SCENARIOS_FILE
        self.program = program
        self.cache = cache
        self.log = log
        self.traffic = traffic
        self.store = BundleStore(folder / "output")
        both = {stored.directory: stored for stored in self.store.bundles()}
        (self.good,) = (path for path, stored in both.items() if "current" in stored.roles)
        (self.other,) = both.keys() - {self.good}

    def acts(self) -> list[Act]:
        """In the order in which they are told."""
        return [
            Act("traffic", frozenset(), lambda: None, least=12),
            Act("a swap, a canary and a shadow", frozenset(), self._swap, least=6),
            Act(
                "a broken bundle, a mistake in the scenarios",
                frozenset({"BbqrecLoadFails", "BbqrecScenariosRefused"}),
                self._break,
                self._mend,
            ),
            Act(
                "files in service written over",
                frozenset({"BbqrecBundleChanged"}),
                self._write_over,
                self._swap_back,
            ),
            Act(
                "Redis of codes gone, storing hangs, ids of another shop",
                frozenset({"BbqrecRedisAway", "BbqrecEventsUnstored", "BbqrecMostlyPopular"}),
                self._lose_cache,
                self._find_cache,
            ),
            Act(
                "the log gone",
                frozenset({"BbqrecLogLags", "BbqrecEventsLag", "BbqrecEventsLost"}),
                self.log.stop,
                self.log.start,
            ),
            Act(
                "the service stands still, again and again, in the middle of batches",
                frozenset({"BbqrecBatchLatencyBudgetFast", "BbqrecBatchLatencyBudgetSlow"}),
                self._stand_still,
            ),
            Act(
                "overload, all with one history",
                frozenset(
                    {
                        "BbqrecQueueFull",
                        "BbqrecErrorBudgetFast",
                        "BbqrecErrorBudgetSlow",
                        "BbqrecLatencyBudgetFast",
                        "BbqrecLatencyBudgetSlow",
                        "BbqrecBatchErrorBudgetFast",
                        "BbqrecBatchErrorBudgetSlow",
                        "BbqrecScoresDrift",
                    }
                ),
                self._flood,
                least=2,
            ),
            Act("the service stopped", frozenset({"BbqrecDown"}), self._stop),
        ]

    def tell(self, prometheus: Prometheus) -> list[Told]:
        """All acts; each until what it should set off has fired, or patience is out."""
        told = []
        for act in self.acts():
            start = time.time()
            act.begin()
            while True:
                time.sleep(0.5)
                now = time.time()
                missing = act.alerts - prometheus.fired(start, now).keys()
                if (not missing and now - start >= act.least) or now - start > _PATIENCE:
                    break
            act.end()
            end = time.time()
            told.append(Told(act, start, end, prometheus.fired(start, end)))
        return told

    def _swap(self) -> None:
        self.store.point("canary", self.other)
        self.store.point("shadow", self.other)
        self._until('role="shadow"} 1.0')

    def _break(self) -> None:
        broken = self.folder / "broken"
        shutil.copytree(self.good, broken)
        flip(FILES.ITEM_VECTORS, broken)
        self.store.point("current", broken)
        self.scenarios.write_text("[home]\nk = 0\n", encoding="utf-8")

    def _mend(self) -> None:
        self.scenarios.write_text(SCENARIOS, encoding="utf-8")
        self.store.retire("canary")
        self.store.retire("shadow")
        self.store.point("current", self.other)

    def _write_over(self) -> None:
        self._until(f'name="{_OTHER}",role="current"}} 1.0')
        os.utime(self.other / MANIFEST)

    def _swap_back(self) -> None:
        self.store.point("current", self.good)

    def _lose_cache(self) -> None:
        self.cache.stop()
        self.traffic.foreign = True
        for pid in self._storing():
            os.kill(pid, signal.SIGSTOP)

    def _find_cache(self) -> None:
        self.cache.start()
        self.traffic.foreign = False
        for pid in self._storing():
            os.kill(pid, signal.SIGCONT)

    def _until(self, exposed: str) -> None:
        """The service's metrics say it."""
        until = time.monotonic() + _PATIENCE
        while exposed not in Client(self.program.port).ask("GET", "/metrics")[1].decode():
            if time.monotonic() > until:
                raise RuntimeError(f"the service never exposes {exposed}")
            time.sleep(0.2)

    def _storing(self) -> list[int]:
        commands = {
            pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in self.program.workers()
        }
        return [pid for pid, command in commands.items() if b"service.events.program" in command]

    def _stand_still(self) -> None:
        body, client = batch(self.traffic.bodies[:_LARGE]), Client(self.program.port)
        with ThreadPoolExecutor(1) as pool:
            for _ in range(_STOPS):
                answer = pool.submit(client.ask, "POST", "/recommend/batch", body)
                time.sleep(_BEGUN)
                self.program.process.send_signal(signal.SIGSTOP)
                time.sleep(_STANDS)
                self.program.process.send_signal(signal.SIGCONT)
                answer.result()

    def _flood(self) -> None:
        bodies = self.folder / "bodies.json"
        bodies.write_text(json.dumps([self.traffic.bodies[0]]), encoding="utf-8")
        most = offer(self.program, 2.0, 0, "keep-alive", bodies).goodput
        client, few = Client(self.program.port), batch(self.traffic.bodies[:2])
        with ThreadPoolExecutor(1) as pool:
            flood = pool.submit(offer, self.program, 16.0, _FLOOD * most, "keep-alive", bodies)
            while not flood.done():
                client.ask("POST", "/recommend/batch", few)

    def _stop(self) -> None:
        self.program.process.terminate()
        self.program.process.wait(30)


def prepare(folder: Path) -> Sequence[str]:
    """Two bundles in an output folder, and scenarios; requests for them."""
    (folder / SCENARIOS_FILE).write_text(SCENARIOS, encoding="utf-8")
    store = BundleStore(folder / "output")
    with store.new() as partial:
        drawn_bundle.write(partial, drawn_bundle.DEFAULT, _ITEMS)
    (first,) = store.bundles()
    with store.new() as partial:
        shutil.copytree(first.directory, partial, dirs_exist_ok=True)
        edit(partial, name=_OTHER)
    store.point("current", first.directory)
    return drawn_bundle.bodies(200, _ITEMS)
