"""Trainings, each on all that was known after some day."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.replay_models.days import Day
from models.contract.memory import Memory
from models.contract.types import FloatArray
from models.nets.sequence import SequenceModel
from training import stage_files
from training.config import RunConfig
from training.data.histories import Histories, Windows
from training.evaluate.ranking import SequenceRanker
from training.fit.learn import Choices, learn_sequence
from training.quantize.learn import learn_codes
from training.warm.kept import averaged
from training.warm.stages import EPOCHS


class Trained(NamedTuple):
    """What goes live: the model, and the memory beside it, None where validation chose none."""

    ranker: SequenceRanker
    memory: Memory | None

    def scores(self, histories: Histories, day: Day) -> FloatArray:
        """(E, N): of the model alone; of events with nothing before them they mean nothing."""
        start_E = histories.offsets[day.user_E]
        length_E = day.at_E - start_E
        scores_EN = np.zeros((len(start_E), len(self.ranker.codes_NS)), np.float32)
        asked = np.flatnonzero(length_E > 0)
        for part in np.array_split(asked, max(1, len(asked) // 256)):
            windows = Windows(start_E[part], length_E[part])
            scores_EN[part] = self.ranker.score(histories.items, windows)
        return scores_EN


class Nights:
    """Of a run, with what its validation chose."""

    def __init__(self, config: RunConfig, work: Path) -> None:
        chosen = stage_files.read_json(config.output / "fit" / stage_files.FITTED)
        self.config, self.work = config, work
        self.choices = Choices.made(chosen)

    def anew(self, histories: Histories, night: int) -> Trained:
        """Codes, model and memory from nothing."""
        codes = self._folder(f"anew-{night}-codes")
        if not (codes / stage_files.HEALTH).exists():
            learn_codes(self.config, histories, codes)
        return self._train(histories, codes, self._folder(f"anew-{night}-fit"), self.choices)

    def warm(self, histories: Histories, night: int) -> Trained:
        """The model goes on from that of the night before; before night 1 is ``anew``'s first.

        Rows are the same every night: the data set has the items of all days.
        """
        before = self.work / ("anew-0-fit" if night == 1 else f"warm-{night - 1}-fit")
        choices = self.choices._replace(epochs=EPOCHS)
        codes, folder = self.work / "anew-0-codes", self._folder(f"warm-{night}-fit")
        return self._train(histories, codes, folder, choices, before / "last.ckpt")

    def _train(
        self,
        histories: Histories,
        codes: Path,
        directory: Path,
        choices: Choices,
        before: Path | None = None,
    ) -> Trained:
        def start(model: SequenceModel) -> None:
            if before is not None:
                seen = model.seen.clone()
                model.load_state_dict(averaged(before))
                model.seen.copy_(seen)

        fitted = learn_sequence(self.config, codes, histories, choices, directory, start)
        table, _ = stage_files.semantic_ids(codes)
        return Trained(SequenceRanker(fitted.model, table.codes_NS), fitted.memory)

    def _folder(self, name: str) -> Path:
        (self.work / name).mkdir(parents=True, exist_ok=True)
        return self.work / name
