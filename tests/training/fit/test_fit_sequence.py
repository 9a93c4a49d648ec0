from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch

from models.contract.config import CodeSpace, Reweighting, SequenceConfig
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import TEXT
from models.nets.sequence import SequenceModel
from tests.training.small import ITEMS, WORDS, histories
from training.config import FitConfig
from training.curves import make_loggers
from training.data.batches import Past
from training.data.histories import EvaluationSet, Histories, Part, targets
from training.evaluate.baselines import Popularity
from training.evaluate.ranking import SequenceRanker, metrics, rank
from training.fit.fit_sequence import (
    Fitted,
    SequenceModule,
    fit_sequence,
    new_model,
)
from training.fit.moving_average import moving_average
from training.progress import trainer_options

CONFIG = FitConfig(
    width=16,
    blocks=1,
    heads=1,
    max_history=8,
    dropout=0.1,
    batch_tokens=256,
    learning_rate=0.01,
    epochs=12,
    patience=12,
)
SPACE = CodeSpace(modalities=(TEXT,), levels=2, codebook_size=16, vector_size=8)


def table() -> SemanticIdTable:
    random = np.random.default_rng(0)
    codes_NS = random.integers(0, 16, (ITEMS, SPACE.slots)).astype(np.uint16)
    return SemanticIdTable(SPACE, codes_NS, np.arange(ITEMS).astype(np.uint16))


def fresh(flow: Histories, reweighting: Reweighting = "additive") -> SequenceModel:
    L.seed_everything(0, verbose=False)
    config = SequenceConfig(
        code_space=SPACE,
        catalogue_size=ITEMS,
        max_history=8,
        width=16,
        blocks=1,
        heads=1,
        dropout=0.1,
        reweighting=reweighting,
        buckets=8,
    )
    return new_model(config, table(), torch.randn(1, 2, 16, 8), WORDS, flow)


def fit(
    directory: Path,
    epochs: int = 12,
    validation: EvaluationSet | None = None,
    config: FitConfig = CONFIG,
) -> Fitted:
    training = histories().up_to(Part.TRAIN)
    return fit_sequence(
        fresh(training),
        table(),
        training,
        validation,
        config,
        epochs,
        seed=0,
        directory=directory,
        loggers=make_loggers(["csv"], directory),
        **trainer_options(directory),
    )


def test_it_learns_what_comes_next(tmp_path: Path) -> None:
    """The next item of the small world is nearly certain: ranking must find it."""
    flow = histories()
    fitted = fit(tmp_path, validation=targets(flow, Part.VALIDATION))
    test = targets(flow, Part.TEST)

    def ndcg(ranker: SequenceRanker | Popularity) -> float:
        return metrics(rank(ranker, test, ITEMS, True, 10), ITEMS, (10,))["ndcg@10"]

    assert ndcg(SequenceRanker(fitted.model, table().codes_NS)) > 0.8
    assert ndcg(Popularity(flow.up_to(Part.TRAIN), ITEMS)) < 0.2
    assert fitted.validation_ndcg is not None
    assert fitted.validation_ndcg > 0.8


def test_what_is_masked_costs_no_loss(tmp_path: Path) -> None:
    losses = []
    for masked in (False, True):
        directory = tmp_path / str(masked)
        fit(directory, 1, config=CONFIG.model_copy(update={"mask_seen": masked}))
        row = (directory / "curves/version_0/metrics.csv").read_text().splitlines()[1]
        losses.append(float(row.split(",")[2]))
    assert losses[1] < losses[0]


def test_a_run_that_was_cut_short_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    fit(tmp_path, epochs=3)
    started = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert started["epoch"] == 2
    fit(tmp_path, epochs=5)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 4
    resumed = (tmp_path / "curves/version_1/metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in resumed] == ["epoch", "3", "4"]


def module(negatives: int) -> SequenceModule:
    training = histories().up_to(Part.TRAIN)
    config = CONFIG.model_copy(update={"negatives": negatives, "id_dropout": 0.0})
    return SequenceModule(fresh(training), table(), config, None, True, seed=0)


def test_sampled_softmax_estimates_the_full_one() -> None:
    """With log-q correction the sampled loss is near the full loss, not near that of 50 items."""
    user_JW, next_J = torch.randn(200, CONFIG.width), torch.randint(ITEMS, (200,))

    def loss(negatives: int) -> float:
        one = module(negatives)
        return float(one.softmax_loss(one.model.each()[0], user_JW, next_J).detach())

    full, sampled = loss(ITEMS), [loss(50) for _ in range(5)]
    assert full == pytest.approx(np.log(ITEMS), abs=0.2)
    assert np.mean(sampled) == pytest.approx(full, abs=0.1)


@pytest.mark.parametrize("negatives", [0, 20])
def test_what_a_user_had_is_no_negative(negatives: int) -> None:
    """Where everything was had, nothing is left to learn, though the next item was had too."""
    one, next_J = module(negatives), torch.randint(ITEMS, (7,))
    everything = Past(torch.arange(ITEMS), torch.zeros(ITEMS).long(), torch.full((ITEMS,), 7))
    tower, user_JW = one.model.each()[0], torch.randn(7, CONFIG.width, requires_grad=True)
    loss = one.softmax_loss(tower, user_JW, next_J, everything)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert user_JW.grad is not None
    assert user_JW.grad.abs().max() < 1e-6


@pytest.mark.parametrize("negatives", [0, 20])
def test_an_item_that_training_never_saw_is_no_negative(
    negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be pushed down for every user, though nothing is known against it."""
    shown, looked_at = 30, []

    def represent(_: torch.Tensor, items: torch.Tensor, __: torch.Tensor) -> torch.Tensor:
        looked_at.extend(items.tolist())
        return torch.zeros(*items.shape, CONFIG.width)

    training = histories().up_to(Part.TRAIN)
    config = CONFIG.model_copy(update={"negatives": negatives})
    model = fresh(training)
    model.seen[shown:] = 0
    one, tower = SequenceModule(model, table(), config, None, True, seed=0), model.each()[0]
    monkeypatch.setattr(tower, "represent", represent)
    loss = one.softmax_loss(tower, torch.randn(7, CONFIG.width), torch.randint(shown, (7,)))
    assert float(loss) == pytest.approx(np.log(shown), abs=0.05)
    assert max(looked_at) < shown


def test_padding_never_reaches_the_loss() -> None:
    """A short history scores the same in a batch of its own as beside a longer one."""
    from training.data.batches import Batch

    one = module(ITEMS).eval()
    one.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    short, long = torch.tensor([[1, 2, 3]]), torch.tensor([[5, 6, 7, 8, 9, 10]])
    padded = torch.cat([short, torch.zeros(1, 3, dtype=torch.int64)], 1)

    def loss(items_BT: torch.Tensor, *length: int) -> torch.Tensor:
        length_B = torch.tensor(length)
        learned_BT = torch.arange(items_BT.shape[1] - 1) < length_B[:, None] - 1
        return one.training_step(Batch(items_BT, length_B, learned_BT), 0)

    together = loss(torch.cat([padded, long]), 3, 6)
    first, second = loss(short, 3), loss(long, 6)
    torch.testing.assert_close(together, (2 * first + 5 * second) / 7)


def test_only_items_of_the_training_part_have_an_id_residual() -> None:
    training = histories().up_to(Part.TRAIN)
    seen = fresh(training).seen.flatten().nonzero().flatten().tolist()
    assert seen == np.unique(training.items).tolist()


def test_what_is_kept_is_the_moving_average_of_weights() -> None:
    """It follows the weights, lies between first and last, and early steps weigh little."""
    training = histories().up_to(Part.TRAIN)
    model = fresh(training)
    average = moving_average(model, decay=0.5)
    weight = model.get_parameter("towers.0.sources.id.embedding.weight")
    followed = average.module.get_parameter("towers.0.sources.id.embedding.weight")
    for step in range(1, 6):
        weight.data.fill_(step)
        average.update_parameters(model)
    assert not followed.requires_grad
    # min(decay, (1 + n) / (10 + n)) after n steps: 1, then 2/11, 3/12, 4/13 and 5/14 are kept.
    expected = 1.0
    for steps in range(1, 5):
        kept = (1 + steps) / (10 + steps)
        expected = kept * expected + (1 - kept) * (steps + 1)
    torch.testing.assert_close(followed, torch.full_like(followed, expected))


def test_towers_learn_apart() -> None:
    """A tower's loss moves no weight of another tower."""
    one = module(ITEMS)
    first, *others = one.model.each()
    user_JW = torch.randn(20, CONFIG.width)
    one.softmax_loss(first, user_JW, torch.randint(ITEMS, (20,))).backward()  # type: ignore[no-untyped-call]
    assert any(parameter.grad is not None for parameter in first.parameters())
    assert len(others) == 2
    assert all(p.grad is None for tower in others for p in tower.parameters())
