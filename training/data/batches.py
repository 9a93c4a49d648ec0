"""Batches bucketed by length: nothing is padded to the maximum, the loss sees real positions only.

Peers pad every history to ``max_history`` and compute catalogue logits at padded positions; on
sparse logs that is most of their time.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from models.contract.ragged import before_each
from training.data.histories import Histories, Windows, laid_out, unroll
from training.processes import ALONE, Process


class Past(NamedTuple):
    """Items that users already had, (E,) each: at a batch's positions ``first`` up to ``stop``.

    Positions are counted over those that are learned from, window after window.
    """

    item_E: Tensor
    first_E: Tensor
    stop_E: Tensor


class Batch(NamedTuple):
    """Windows of histories: items (B, T), padded on the right with 0, and lengths (B,)."""

    items_BT: Tensor
    length_B: Tensor
    place_J: Tensor | None = None  # for training: what is learned from, row * (T - 1) + step
    past: Past | None = None  # of whole histories, for training that masks it
    weight_J: Tensor | None = None  # of those learned from; None: they count alike


class Asked(NamedTuple):
    """Windows of a training step, and what the host would have to wait for a device to tell."""

    row_B: Tensor  # of all windows
    longest: int  # T, items of the longest
    learned: int  # J, positions that are learned from
    past: Past | None = None


def training_windows(histories: Histories, max_history: int) -> Windows:
    """Cut each history, from its end, into windows of at most ``max_history`` + 1 items.

    Neighbouring windows share one item, so that every transition is learned from exactly once and
    no interaction of a long history is thrown away.
    """
    starts, lengths = [], []
    for first, last in pairwise(histories.offsets):
        stop = int(last)
        while stop - first >= 2:
            start = max(int(first), stop - max_history - 1)
            starts.append(start)
            lengths.append(stop - start)
            stop = start + 1
    return Windows(np.array(starts, np.int64), np.array(lengths, np.int64))


def gather(items: NDArray[np.int32], windows: Windows) -> Batch:
    """Read windows into one right-padded batch."""
    reach_BT = np.arange(windows.length.max())[None, :]
    inside_BT = reach_BT < windows.length[:, None]
    items_BT = np.where(inside_BT, items[(windows.start[:, None] + reach_BT) * inside_BT], 0)
    return Batch(torch.from_numpy(items_BT).long(), torch.from_numpy(windows.length))


def gather_latest(items: NDArray[np.int32], windows: Windows, most: int) -> Batch:
    """A batch of the last ``most`` items of each window."""
    return gather(items, windows.latest(most))


def past(histories: Histories, windows: Windows, learned_P: NDArray[np.bool_]) -> Past:
    """What the users of a batch already had at each position, before the window and in it.

    learned_P: of all positions that predict something, window after window.
    """
    first = histories.offsets[np.searchsorted(histories.offsets, windows.start, "right") - 1]
    predict = windows.length - 1  # all but the last item, which is only predicted
    had = unroll(histories.items, Windows(first, windows.start + predict - first))
    stop_E = np.cumsum(predict)[had.row]
    first_E = stop_E - np.minimum(had.back + 1, predict[had.row])
    before_P = before_each(learned_P)
    bounds = (torch.from_numpy(before_P[place_E]) for place_E in (first_E, stop_E))
    return Past(torch.from_numpy(had.item).long(), *bounds)


class TrainingBatches(Dataset[Asked]):
    """Says what a step asks for, by the indices of its windows; ``with_past`` or without.

    filter_seen: an item that the user had before is not learned as what comes next, and windows
    that hold nothing else are left out. ``Resident`` reads the windows, where training computes.
    """

    def __init__(
        self, histories: Histories, windows: Windows, *, filter_seen: bool, with_past: bool
    ) -> None:
        self.histories = histories
        self.learned = np.ones(len(histories.items), np.bool_)
        if filter_seen:
            self.learned = histories.first_uses()
        before = before_each(self.learned)
        learned_W = before[windows.start + windows.length] - before[windows.start + 1]
        some = learned_W > 0
        self.windows = Windows(windows.start[some], windows.length[some])
        self.learned_W = learned_W[some]
        self.with_past = with_past

    def __getitem__(self, rows: list[int]) -> Asked:
        windows = Windows(self.windows.start[rows], self.windows.length[rows])
        longest, learned = int(windows.length.max()), int(self.learned_W[rows].sum())
        asked = Asked(torch.tensor(rows), longest, learned)
        if not self.with_past:
            return asked
        next_P = laid_out(Windows(windows.start + 1, windows.length - 1)).at
        return asked._replace(past=past(self.histories, windows, self.learned[next_P]))


class EpochShuffle(Sampler[list[int]]):
    """All rows in random order, some at a time, from ``seed`` and the epoch's number alone."""

    def __init__(self, rows: int, at_once: int, seed: int) -> None:
        self.rows = rows
        self.at_once = at_once
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of rows."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        for first in range(0, self.rows, self.at_once):
            yield order[first : first + self.at_once].tolist()

    def __len__(self) -> int:
        return math.ceil(self.rows / self.at_once)


class LengthBuckets(Sampler[list[int]]):
    """Batches of windows of like length, about ``batch_tokens`` positions each.

    Every epoch draws new batches, from ``seed`` and the epoch's number alone: a resumed run sees
    the same ones. Of several processes each takes every n-th batch; all take equally many, so the
    last ones may be seen twice.
    """

    def __init__(
        self,
        length: NDArray[np.int64],
        batch_tokens: int,
        seed: int,
        process: Process = ALONE,
    ) -> None:
        self.length = length
        self.batch_tokens = batch_tokens
        self.seed = seed
        self.process = process
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of each batch's windows, batches in random order."""
        random = np.random.default_rng((self.seed, self.epoch))
        # Up to a tenth of noise mixes neighbours, so that batches differ between epochs.
        noisy = self.length * random.uniform(0.9, 1.1, len(self.length))
        order = np.argsort(noisy)
        batches = cut(self.length[order], self.batch_tokens)
        mixed = random.permutation(len(batches))
        rounds = math.ceil(len(batches) / self.process.count)
        for turn in range(rounds):
            at = (turn * self.process.count + self.process.rank) % len(batches)
            yield order[batches[mixed[at]]].tolist()

    def __len__(self) -> int:
        """Batches an epoch, about: noise moves it by a few."""
        return math.ceil(len(cut(np.sort(self.length), self.batch_tokens)) / self.process.count)


def cut(length: NDArray[np.int64], batch_tokens: int) -> list[slice]:
    """Slices of a nearly sorted array of lengths, each of about ``batch_tokens`` positions."""
    ends = np.cumsum(length) // batch_tokens
    edges = np.flatnonzero(np.diff(ends)) + 1
    bounds = [0, *edges.tolist(), len(length)]
    return [slice(a, b) for a, b in pairwise(bounds) if b > a]
