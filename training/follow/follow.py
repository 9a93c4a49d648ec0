"""Follow: events come, a new bundle is trained, and goes live unless what serves is better.

Stages that are done are not done again, so that it may be killed at any moment, and goes on.
"""

import contextlib
import datetime as dt
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from models.contract.manifest import read_manifest
from models.contract.store import BundleStore
from training import stage_files
from training.config import RunConfig
from training.data.dataset import PreparedDataset
from training.errors import UserError
from training.follow import gate
from training.follow.gate import Verdict
from training.run.alone import alone
from training.run.pipeline import Pipeline
from training.run.room import room
from training.run.stages import STAGES, log_files
from training.warm.kept import folder_of, keep
from training.warm.stages import WARM

JOURNAL = "follow.jsonl"
_TRIES = 5  # to read files that somebody else writes
Listing = list[tuple[str, int, int]]  # path, bytes and time of every file
Judge = Callable[[RunConfig, Path, Path | None, float], Verdict]


class Following(NamedTuple):
    """When to train, and what may go live.

    events: new ones that are worth a training. margin: share of NDCG@10 that going live may cost.
    warm: so many trainings in a row go on from the weights of what serves; then one does not.
    """

    events: int = 1000
    margin: float = 0.02
    every: float = 600.0  # seconds between looks
    warm: int = 0


class Follower:
    """Trains one run again as its events come."""

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
        self.store = BundleStore(config.output)
        self._seen: Listing | None = None

    def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            try:
                self.look()
            except UserError as error:  # what is wrong with the files may be mended
                self.say(f"error: {error}")
            time.sleep(self.following.every)

    def look(self) -> bool:
        """Train, if enough has come; whether a new bundle went live. Raises UserError, where
        another process trains there, too.
        """
        with alone(self.config.output), room(self.config.output, "the next bundle"):
            for _ in range(_TRIES - 1):
                try:
                    return self._look()
                except FileNotFoundError as error:  # small files of an hour became one
                    self.say(f"{error.filename} went while it was read: once more")
            return self._look()

    def _look(self) -> bool:
        if (files := self.files()) == self._seen:
            return False
        Pipeline(self.config, STAGES).complete(self.say, "prepare")
        self._seen = files
        data = stage_files.data(self.config)
        serving = self.store.find("current")
        split = read_manifest(serving)[0].split if serving else {}
        new = self._new(data, split)
        if new < self.following.events:
            self.say(f"{new:,} new interactions: waiting for {self.following.events:,}")
            return False
        config = gate.hold_out(self.config, data, split.get("until"))
        candidate, warm = self._candidate(config)
        verdict = self.judge(config, candidate, serving, self.following.margin)
        if not warm and verdict.passed:
            verdict = gate.explained(verdict, config, serving)
        if verdict.passed:
            if self.following.warm and config.fit.refit:
                keep(config)  # first: killed between the two, it judges the same again
            self.store.activate(candidate.name)
        learned = {"interactions": data.card.interactions, "until": data.card.split.until}
        self._note({**learned, "bundle": candidate.name, "warm": warm}, verdict)
        self.say(f"{'live' if verdict.passed else 'not activated'}: {verdict.why}")
        return verdict.passed

    def goes_on(self, config: RunConfig) -> bool:
        """Whether the next training is from the weights before: where it can be judged, and not too
        many were since one from nothing.
        """
        in_a_row = list(itertools.takewhile(lambda line: line.get("warm"), self._lines()))
        may = len(in_a_row) < self.following.warm and config.fit.refit and not config.fit.learn_test
        return may and folder_of(config).exists()

    def _candidate(self, config: RunConfig) -> tuple[Path, bool]:
        """A new bundle, which does not serve; whether it goes on from the one before."""
        export = config.export.model_copy(update={"activate": False})
        config = config.model_copy(update={"export": export})
        warm = self.goes_on(config)
        if warm:
            try:
                Pipeline(config, WARM).complete(self.say)
            except UserError as error:
                self.say(f"from nothing: {error}")
                warm = False
        if not warm:
            Pipeline(config, STAGES).complete(self.say)
        written = stage_files.read_json(config.output / "export" / stage_files.EXPORTED)
        return self.store.root / str(written["digest"]), warm

    def files(self) -> Listing:
        """The files that a training reads, with sizes and times: cheaper to look at than hashes."""
        paths = log_files(self.config)
        every = (file for path in paths for file in (path, *path.rglob("*")) if file.exists())
        return sorted((str(f), s.st_size, s.st_mtime_ns) for f in every if (s := f.stat()))

    def _new(self, data: PreparedDataset, served: Mapping[str, Any]) -> int:
        """Interactions that the last training had not, went it live or not: later ones, for old
        ones may be gone since; or how many there are more, for some come late or have no time.
        """
        last: Mapping[str, Any] = next(self._lines(), {})
        had: int = max(last.get("interactions", 0), sum(served.get("interactions", {}).values()))
        until = max(last.get("until") or 0, served.get("until") or 0)
        later = int((data.times() > until).sum()) if until and data.card.split.timed else 0
        return max(later, data.card.interactions - had)

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Of the journal, the latest first."""
        lines = self._journal().read_bytes().splitlines() if self._journal().exists() else []
        for line in reversed(lines):
            with contextlib.suppress(ValueError):  # torn: this was killed while it was written
                yield from_json(line)

    def _note(self, about: dict[str, Any], verdict: Verdict) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        line = to_json({"time": now} | about | verdict._asdict())
        with self._journal().open("ab") as file:
            file.write(b"\n" + line)

    def _journal(self) -> Path:
        return self.config.output / JOURNAL
