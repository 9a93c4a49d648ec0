"""Which stage needs what, and whether it still has to run.

A stage writes into ``<output>/<stage>`` and, when all is written, ``stage.json`` with the
fingerprint of everything it depended on: the settings that it reads, the content of the user's
files, the code that it runs, and the fingerprints of the stages before it. The same fingerprint
again means skip.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from models.contract.manifest import sha256
from models.contract.standing import Standing
from training import stage_files
from training.config import RunConfig
from training.errors import UserError
from training.run import costs
from training.run.code import code_hash
from training.run.room import room
from training.settings import values

DONE, BEGUN = "stage.json", "begun"
_POLL = 0.2  # seconds between looks at what the first process has done


@dataclass(frozen=True)
class Stage:
    """One verb of the command line."""

    name: str
    title: str
    run: Callable[[RunConfig, Path], str]  # writes into the folder; returns a line of summary
    needs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # dotted names in RunConfig that its outcome depends on
    but: tuple[str, ...] = ()  # names under those that it does not
    files: Callable[[RunConfig], Iterable[Path]] = field(default=lambda config: ())
    # Too many to read, such as pictures: which they are is known once the stages before have run.
    named: Callable[[RunConfig], Iterable[str]] = field(default=lambda config: ())
    distributed: bool = False  # all processes of torchrun take part, not the first alone


class Pipeline:
    """The stages of one run, in order."""

    def __init__(
        self,
        config: RunConfig,
        stages: tuple[Stage, ...],
        hash_code: Callable[[str], str] = code_hash,
    ) -> None:
        """``hash_code``: of a module's name, what tells whether its code has changed."""
        self.config = config
        self._hash_code = hash_code
        self.stages = {stage.name: stage for stage in stages}
        self._fingerprints: dict[str, str] = {}

    def directory(self, name: str) -> Path:
        """Where a stage writes."""
        return self.config.output / name

    def fingerprint(self, name: str) -> str:
        """Hash of everything the stage's outcome depends on."""
        if name not in self._fingerprints:
            stage = self.stages[name]
            content = {
                "stage": name,
                "code": self._hash_code(stage.run.__module__),
                "settings": stage_settings(self.config, stage),
                "files": [_file_hash(path) for path in stage.files(self.config)],
                "named": _size_and_time_hash(stage.named(self.config)),
                "needs": [self.fingerprint(need) for need in stage.needs],
            }
            digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
            self._fingerprints[name] = digest
        return self._fingerprints[name]

    def is_done(self, name: str) -> bool:
        """Whether the stage ran with exactly these inputs."""
        try:
            done = json.loads((self.directory(name) / DONE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(done.get("fingerprint") == self.fingerprint(name))

    def complete(self, say: Callable[[str], object], *names: str) -> None:
        """Run what is not done of these stages, or of all; ``say`` a line of each that is run."""
        for name in names or self.stages:
            if not self.is_done(name):
                say(f"{name}: {self.run(name)}")

    def run(self, name: str) -> str:
        """Run one stage. Raises UserError if one that it needs has not run with these inputs, or
        the disk is full.
        """
        self.config.output.mkdir(parents=True, exist_ok=True)
        with room(self.config.output, f"stage `{name}`"):
            return self._run(name)

    def _run(self, name: str) -> str:
        stage = self.stages[name]
        for need in stage.needs:
            if not self.is_done(need):
                raise UserError(
                    f"stage `{name}` needs stage `{need}`, which has not run with this "
                    f"configuration and data: run `bbqrec-train {need}` first, or `run` for all"
                )
        directory = self.directory(name)
        directory.mkdir(parents=True, exist_ok=True)
        self._forget_other_inputs(name)
        costs.forget_peak()
        started = time.monotonic()
        with self._standing(stage), room(self.config.output, f"stage `{name}`"):
            summary = stage.run(self.config, directory)
        record = {
            "fingerprint": self.fingerprint(name),
            "summary": summary,
            "seconds": round(time.monotonic() - started, 1),
            "peak_bytes": costs.peak(),
            "cpus": costs.cpus(),
            "settings": stage_settings(self.config, stage),
            "versions": costs.versions(),
        }
        stage_files.write_json(directory / DONE, record)
        return summary

    @contextmanager
    def _standing(self, stage: Stage) -> Iterator[None]:
        """Say in the output folder where the run stands."""
        number, output = [*self.stages].index(stage.name) + 1, self.config.output
        standing = Standing(stage=stage.name, title=stage.title, number=number, of=len(self.stages))
        standing.write(output)
        try:
            yield
        except BaseException as error:
            said = str(error) if isinstance(error, UserError) else None
            with contextlib.suppress(OSError):  # a full disk must not hide what went wrong
                standing.model_copy(update={"state": "failed", "message": said}).write(output)
            raise
        standing.model_copy(update={"state": "done"}).write(output)

    def assist(self, name: str) -> None:
        """What every process but the first does: take part in a distributed stage, and wait.

        The first alone decides whether the stage has to run, and writes its files.
        """
        stage = self.stages[name]
        while not self.is_done(name):
            if stage.distributed and self._begun(name):
                stage.run(self.config, self.directory(name))
                stage = dataclasses.replace(stage, distributed=False)
            time.sleep(_POLL)

    def _begun(self, name: str) -> bool:
        """Whether an attempt with exactly these inputs has cleared the folder for itself."""
        begun = self.directory(name) / BEGUN
        return begun.exists() and begun.read_text(encoding="utf-8") == self.fingerprint(name)

    def _forget_other_inputs(self, name: str) -> None:
        """Clear what an attempt with other inputs left, checkpoints above all; keep our own."""
        directory = self.directory(name)
        (directory / DONE).unlink(missing_ok=True)  # first: what is half cleared is not done
        if not self._begun(name):
            for path in sorted(directory.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            (directory / BEGUN).write_text(self.fingerprint(name), encoding="utf-8")


def stage_settings(config: RunConfig, stage: Stage) -> dict[str, object]:
    """The settings that a stage depends on, by dotted name."""
    flat = values(config)
    asked = (name for name in flat if _is_under(name, stage.settings))
    return {name: flat[name] for name in asked if not _is_under(name, stage.but)}


def _is_under(name: str, sections: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{section}.") for section in sections)


def _size_and_time_hash(paths: Iterable[str]) -> str:
    """Of files that other inputs name: only whether they are there and have changed is to be told,
    wherever the folder lies.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116 - of a million, Path takes several times as long
            digest.update(b"%d %d\n" % (found.st_size, found.st_mtime_ns))
        except OSError:
            digest.update(b"absent\n")
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    """Content of a file; names, sizes and times of a folder's files."""
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        return "absent"
    listing = [
        (str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns)
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
