"""Follow: events come, a new bundle is trained, and goes live if it is as good as what serves.

Stages that are done are not done again, so that it may be killed at any moment, and goes on.
"""

import contextlib
import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pydantic_core import from_json, to_json

from training import stage_files
from training.config import RunConfig
from training.errors import UserError
from training.follow import gate
from training.follow.gate import Verdict
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

JOURNAL = "follow.jsonl"
_TO_JUDGE = ("prepare", "encode", "quantize", "fit", "evaluate")
Judge = Callable[[RunConfig, float], Verdict]


class Following(NamedTuple):
    """How. events: new ones that are worth a training. margin: share of NDCG@10 it may cost."""

    events: int = 1000
    margin: float = 0.02
    every: float = 600.0  # seconds between looks


class Follower:
    """Of one run."""

    def __init__(
        self,
        config: RunConfig,
        following: Following,
        say: Callable[[str], None],
        judge: Judge = gate.judge,
    ) -> None:
        self.config = config
        self.following = following
        self.say = say
        self.judge = judge
        self._seen: object = None

    def run(self) -> None:
        """For ever."""
        while True:
            try:
                self.look()
            except UserError as error:  # what is wrong with the files may be mended
                self.say(f"error: {error}")
            time.sleep(self.following.every)

    def look(self) -> bool:
        """Train, if enough has come; whether a new bundle went live."""
        if (files := self._files()) == self._seen:
            return False
        pipeline = Pipeline(self.config, STAGES)
        if not pipeline.is_done("prepare"):
            self.say(pipeline.run("prepare"))
        self._seen = files
        events = stage_files.data(self.config).card.interactions
        new = events - self._trained()
        if pipeline.is_done("export") or new < self.following.events:
            self.say(f"{new:,} new interactions: waiting for {self.following.events:,}")
            return False
        self._do(pipeline, _TO_JUDGE)
        verdict = self.judge(self.config, self.following.margin)
        if verdict.passed:
            self._do(pipeline, tuple(pipeline.stages))
        self._note(events, verdict)
        self.say(f"{'live' if verdict.passed else 'not activated'}: {verdict.why}")
        return verdict.passed

    def _do(self, pipeline: Pipeline, stages: tuple[str, ...]) -> None:
        for name in stages:
            if not pipeline.is_done(name):
                self.say(f"{name}: {pipeline.run(name)}")

    def _files(self) -> object:
        """What changes when somebody writes to what is read: cheaper to look at than hashes."""
        paths = [self.config.interactions.path]
        paths += [self.config.items.path] if self.config.items else []
        every = (file for path in paths for file in (path, *path.rglob("*")))
        return sorted((str(f), s.st_size, s.st_mtime_ns) for f in every if (s := f.stat()))

    def _trained(self) -> int:
        """Interactions that the last one was trained on, went it live or not."""
        lines = self._journal().read_bytes().splitlines() if self._journal().exists() else []
        for line in reversed(lines):
            with contextlib.suppress(ValueError):  # torn: this was killed while it was written
                return int(from_json(line)["interactions"])
        return 0

    def _note(self, events: int, verdict: Verdict) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        line = to_json({"time": now, "interactions": events, **verdict._asdict()})
        with self._journal().open("ab") as file:
            file.write(b"\n" + line)

    def _journal(self) -> Path:
        return self.config.output / JOURNAL
