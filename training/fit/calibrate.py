"""After training, new items' scores are brought to the scale of the others'.

Content tells less of an item than its use does, so new items rank behind known ones that fit worse.
On validation, where a share of the items is new, their scores are scaled and one constant is added
(a choice of ours; docs/method.md, 3).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.contract.types import FloatArray
from training.data.new_items import Mixed
from training.evaluate.ranking import Ranker, Task, gains_of, scores

SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
_SHOWN = 10  # length of the lists that people look at
_NEAR = 50  # best items, among which a new one that is taken should be found, the higher the better
_LEAST = 20  # new items taken, below which nothing can be told from them
_STEPS = 24  # of a search by halves


class Calibration(NamedTuple):
    """A new item's score becomes scale x itself + offset."""

    scale: float = 1.0
    offset: float = 0.0


class Exposure(NamedTuple):
    """What users are shown under a calibration, and how good that is."""

    shown: float  # share of new items among the ten that are shown
    taken: float  # and among those that users take
    found: float  # NDCG@50 where a new item is taken
    ndcg: float  # NDCG@10, whatever is taken
    known_ndcg: float  # where a known item is taken

    def worth(self) -> float:
        """A hundredth more found of new items is worth a hundredth of known ones' NDCG."""
        return self.found * self.known_ndcg


class Scored(NamedTuple):
    """All that is needed to rank every event under any calibration.

    known_EK, new_EK: scores of the best items of either kind, best first. target_E, new_E: the
    target's score, and whether it is new. ahead_E: its rank among items of its kind.
    """

    known_EK: FloatArray
    new_EK: FloatArray
    target_E: FloatArray
    new_E: NDArray[np.bool_]
    ahead_E: NDArray[np.int64]

    @classmethod
    def by(cls, ranker: Ranker, mixed: Mixed, filter_seen: bool) -> "Scored":
        """Score every event of ``mixed``."""
        events = len(mixed.held_out.target)
        best = {kind: np.full((events, _NEAR), -np.inf, np.float32) for kind in (False, True)}
        target_E, ahead_E = np.zeros(events, np.float32), np.zeros(events, np.int64)
        new_E = mixed.taken()
        columns = {kind: np.flatnonzero(mixed.new_N == kind) for kind in (False, True)}
        for rows, scores_BN in scores(ranker, Task.of(mixed, filter_seen)):
            target_E[rows] = scores_BN[np.arange(len(rows)), mixed.held_out.target[rows]]
            for kind, of_kind in columns.items():
                scores_BC = scores_BN[:, of_kind]
                most = min(_NEAR, len(of_kind))
                top_BK = torch.from_numpy(scores_BC).topk(most).values.numpy()
                best[kind][rows, :most] = top_BK
                own = new_E[rows] == kind
                ahead_E[rows[own]] = _not_behind(scores_BC[own], target_E[rows[own]])
        return cls(best[False], best[True], target_E, new_E, ahead_E)

    def exposure(self, calibration: Calibration) -> Exposure:
        """What is shown, and how well, by this calibration."""
        scale, offset = calibration
        new_EK = scale * self.new_EK + offset
        own_E = np.where(self.new_E, scale * self.target_E + offset, self.target_E)
        others_EK = np.where(self.new_E[:, None], self.known_EK, new_EK)
        rank_E = self.ahead_E + _not_behind(others_EK, own_E)
        gain_E, near_E = (gains_of(rank_E, most) for most in (_SHOWN, _NEAR))
        new_E10, known_E10 = new_EK[:, :_SHOWN], self.known_EK[:, :_SHOWN]
        return Exposure(
            shown=float(((new_E10 >= known_E10[:, ::-1]) & np.isfinite(new_E10)).mean()),
            taken=float(self.new_E.mean()),
            found=float(near_E[self.new_E].mean()),
            ndcg=float(gain_E.mean()),
            known_ndcg=float(gain_E[~self.new_E].mean()),
        )

    def exposure_of_known(self) -> Exposure:
        """Where no new item is ever shown."""
        return self.exposure(Calibration(1.0, -np.inf))

    def reach(self) -> float:
        """An offset beyond which nothing changes any more."""
        finite = (part[np.isfinite(part)] for part in (self.known_EK, self.new_EK))
        return float(sum(np.abs(part).max(initial=0) for part in finite)) + 1


def _not_behind(scores_EK: FloatArray, own_E: FloatArray) -> NDArray[np.int64]:
    """(E,): how many scores are not below ``own``; NaN is not."""
    count_E: NDArray[np.int64] = scores_EK.shape[1] - (scores_EK < own_E[:, None]).sum(axis=1)
    return count_E


def choose(scored: Scored, most_cost: float) -> Calibration | None:
    """The calibration that is worth the most; None where too few new items are taken to tell.

    New items are shown as often as users take them, or less often where that would cost known
    items more than ``most_cost``, a share, of their NDCG@10.
    """
    if scored.new_E.sum() < _LEAST or scored.new_E.all():
        return None
    tried = _offsets(scored, most_cost)
    return max(tried, key=lambda calibration: scored.exposure(calibration).worth())


def _offsets(scored: Scored, most_cost: float) -> Iterator[Calibration]:
    """For every scale the largest offset that is allowed, by bisection."""
    least = scored.exposure_of_known().known_ndcg * (1 - most_cost)
    for scale in SCALES:
        low, high = -scored.reach(), scored.reach()
        for _ in range(_STEPS):
            tried = Calibration(scale, (low + high) / 2)
            found = scored.exposure(tried)
            fits = found.shown <= found.taken and found.known_ndcg >= least
            low, high = (tried.offset, high) if fits else (low, tried.offset)
        yield Calibration(scale, low)
