from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from models.contract.config import CodeSpace, Reweighting, SequenceConfig, Towers
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import TEXT
from models.nets.sequence import SequenceModel
from models.nets.words import WordBag
from tests.training.small import ITEMS, WORDS, all_learned, histories
from training.config import FitConfig
from training.data.batches import Asked, Batch, Past, TrainingBatches, training_windows
from training.data.histories import EvaluationSet, Histories, Part, targets
from training.errors import UserError
from training.evaluate.baselines import Popularity
from training.evaluate.ranking import SequenceRanker, Task, metrics, rank
from training.fit import sequence_module
from training.fit.fit_sequence import Fitted, _distribution, fit_sequence, new_model
from training.fit.moving_average import MovingAverage
from training.fit.resident import Resident
from training.fit.sequence_module import SequenceModule
from training.losses import same_JC
from training.processes import Process
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


def fresh(
    flow: Histories,
    reweighting: Reweighting = "additive",
    towers: Towers = CONFIG.towers,
) -> SequenceModel:
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
        towers=towers,
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
        **trainer_options(directory, ["csv"]),
    )


def test_it_learns_what_comes_next(tmp_path: Path) -> None:
    """The next item of the small world is nearly certain: ranking must find it."""
    flow = histories()
    validation, test = (targets(flow, part) for part in (Part.VALIDATION, Part.TEST))
    fitted = fit(tmp_path, validation=validation)
    ours = SequenceRanker(fitted.model, table().codes_NS)

    def ndcg(ranker: SequenceRanker | Popularity, of: EvaluationSet) -> float:
        return metrics(rank(ranker, Task(of, ITEMS, True), 10), ITEMS, (10,))["ndcg@10"]

    assert ndcg(ours, test) > 0.8
    assert ndcg(Popularity(flow.up_to(Part.TRAIN), ITEMS), test) < 0.2
    assert fitted.validation_ndcg is not None
    assert fitted.validation_ndcg > 0.8
    assert fitted.validation_ndcg == pytest.approx(ndcg(ours, validation), abs=1e-6)


def test_the_weights_of_the_best_epoch_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a training that ends with it, however many follow."""
    told = iter((0.1, 0.5, 0.3))
    measured = lambda *_: {"ndcg@10": next(told), "recall@10": 0.0}  # noqa: E731
    monkeypatch.setattr(sequence_module, "metrics", measured)
    best = fit(tmp_path / "best", 3, targets(histories(), Part.VALIDATION))
    assert best.epochs == 2
    assert best.validation_ndcg == pytest.approx(0.5)
    ends, best_weights = fit(tmp_path / "ends", 2).model.state_dict(), best.model.state_dict()
    assert all(torch.equal(ends[name], best_weights[name]) for name in ends)


@pytest.mark.parametrize("part", [None, Part.VALIDATION])
def test_training_that_diverges_ends_and_says_what_to_try(
    part: Part | None, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"learning_rate": 1e20})
    validation = None if part is None else targets(histories(), part)
    with pytest.raises(UserError, match=r"diverged.*fit\.learning_rate"):
        fit(tmp_path, 3, validation, config)


@pytest.mark.parametrize(
    ("items", "filter_seen"), [([[0], [1], [2]], True), ([[3, 3], [4, 4, 4]], True), ([[5]], False)]
)
def test_histories_that_tell_nothing_are_refused(
    items: list[list[int]], filter_seen: bool, tmp_path: Path
) -> None:
    flow = all_learned(items)
    with pytest.raises(UserError, match="nobody has two interactions to learn from"):
        fit_sequence(fresh(flow), table(), flow, None, CONFIG, 1, 0, tmp_path, filter_seen)


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
def test_what_weighs_nothing_teaches_nothing(negatives: int) -> None:
    one, weight_J = module(negatives), torch.tensor([1.0, 0, 2, 0, 1])
    user_JW = torch.randn(5, CONFIG.width, requires_grad=True)
    next_J = torch.randint(ITEMS, (5,))
    loss = one.softmax_loss(one.model.each()[0], user_JW, next_J, None, weight_J)
    loss.backward()  # type: ignore[no-untyped-call]
    assert user_JW.grad is not None
    assert user_JW.grad.any(1).tolist() == (weight_J > 0).tolist()


def test_a_share_of_what_is_shown_has_no_id_residual() -> None:
    """Of each item now and then, so that the rest tells of it; always of one that is not seen."""
    training = histories().up_to(Part.TRAIN)
    config, model = CONFIG.model_copy(update={"id_dropout": 0.3}), fresh(training)
    one = SequenceModule(model, table(), config, None, True, seed=0)
    model.seen[:5], model.seen[5:] = 0, 1
    known_BN1 = one._shown(lambda _, __, known: known, torch.arange(ITEMS).expand(500, ITEMS))
    shares_N = known_BN1.mean(0)[:, 0]
    assert not shares_N[:5].any()
    assert shares_N[5:].tolist() == pytest.approx([0.7] * (ITEMS - 5), abs=0.1)


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
    one = module(ITEMS).eval()
    one.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    short, long = torch.tensor([[1, 2, 3]]), torch.tensor([[5, 6, 7, 8, 9, 10]])
    padded = torch.cat([short, torch.zeros(1, 3, dtype=torch.int64)], 1)

    def loss(items_BT: torch.Tensor, *length: int) -> torch.Tensor:
        length_B = torch.tensor(length)
        learned_BT = torch.arange(items_BT.shape[1] - 1) < length_B[:, None] - 1
        place_J = learned_BT.flatten().nonzero()[:, 0]
        return one.training_step(Batch(items_BT, length_B, place_J), 0)

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
    average = MovingAverage(model, decay=0.5)
    weight = model.get_parameter("towers.0.sources.id.embedding.weight")
    followed = average.module.get_parameter("towers.0.sources.id.embedding.weight")
    for step in range(1, 6):
        weight.data.fill_(step)
        average.follow(model)
    assert not followed.requires_grad
    # min(decay, (1 + n) / (10 + n)) after n steps: 1, then 2/11, 3/12, 4/13 and 5/14 are kept.
    expected = 1.0
    for steps in range(1, 5):
        kept = (1 + steps) / (10 + steps)
        expected = kept * expected + (1 - kept) * (steps + 1)
    torch.testing.assert_close(followed, torch.full_like(followed, expected))


def test_an_average_goes_on_from_a_checkpoint() -> None:
    """With as many steps behind it, and without what never changes being copied."""
    model = fresh(histories().up_to(Part.TRAIN))
    one, other = MovingAverage(model, decay=0.9), MovingAverage(model, decay=0.9)
    assert all(a is b for a, b in zip(one.module.buffers(), model.buffers(), strict=True))
    for step in range(4):
        if step == 2:
            other.load_state_dict(one.state_dict())
        for weight in model.parameters():
            weight.data += 1
        for average in (one, other)[: 1 + (step >= 2)]:
            average.follow(model)
    pairs = zip(one.module.parameters(), other.module.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def some(*rows: range) -> tuple[Resident, list[Asked]]:
    """Histories, and batches that are asked of them."""
    training = histories().up_to(Part.TRAIN)
    windows = training_windows(training, CONFIG.max_history)
    batches = TrainingBatches(training, windows, filter_seen=False, with_past=False)
    return Resident.of(batches, torch.device("cpu")), [batches[[*each]] for each in rows]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler, of torch
def test_what_is_compiled_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one piece, where nobody asks which words and negatives there are, as on a GPU; once for
    all lengths. What the piece is then made of, for minutes, is torch's own.
    """
    monkeypatch.setattr(WordBag, "forward", WordBag.of_all)
    monkeypatch.setattr(sequence_module, "no_negatives", lambda n, c, _: (same_JC(n, c),))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    training = histories().up_to(Part.TRAIN)
    resident, steps = some(range(20), range(7), range(30, 60))
    counters.clear()
    losses, gradients = list[float](), []
    for compiled in (False, True):
        config = CONFIG.model_copy(update={"negatives": 20, "compile": compiled})
        model = fresh(training, towers=(("words", "codes", "id"),))
        one = SequenceModule(model, table(), config, None, True, seed=0)
        one.model.eval()  # no dropout
        torch.manual_seed(0)
        for step in steps:
            loss = one.learn(resident.gather(step))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(float(loss.detach()))
        gradients.append([p.grad for p in one.model.parameters() if p.grad is not None])
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert losses[:3] == pytest.approx(losses[3:], rel=1e-5)
    for plain, fast in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, fast, rtol=1e-3, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_no_step_waits_for_a_gpu() -> None:
    """Neither to gather a batch nor to learn from it: the host stays ahead."""
    one, (resident, (first,)) = module(20).cuda(), some(range(20))
    resident = resident._replace(
        **{n: t.cuda() for n, t in resident._asdict().items() if t is not None}
    )
    optimizer, step = one.configure_optimizers(), first._replace(row_B=first.row_B.cuda())
    for mode in ("default", "error"):  # what is made once may wait
        torch.cuda.set_sync_debug_mode(mode)
        try:
            one.learn(resident.gather(step)).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(one.model.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            one.averaged.follow(one.model)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_towers_learn_apart() -> None:
    """A tower's loss moves no weight of another tower."""
    one = module(ITEMS)
    first, *others = one.model.each()
    user_JW = torch.randn(20, CONFIG.width)
    one.softmax_loss(first, user_JW, torch.randint(ITEMS, (20,))).backward()  # type: ignore[no-untyped-call]
    assert any(parameter.grad is not None for parameter in first.parameters())
    assert len(others) == 2
    assert all(p.grad is None for tower in others for p in tower.parameters())


def test_several_processes_send_each_other_gradients_alone() -> None:
    """Codes and words of all items are buffers: at every step they would be sent, too."""
    options = _distribution(Process(0, 2, 2), CONFIG)
    assert options["strategy"]._ddp_kwargs["broadcast_buffers"] is False


def test_processes_share_batches_out_themselves_on_however_many_machines() -> None:
    """To share them out once more would leave most of them unseen."""
    options = _distribution(Process(0, 6, 2), CONFIG)
    assert (options["devices"], options["num_nodes"]) == (2, 3)
    assert options["use_distributed_sampler"] is False


def test_what_a_gpu_learned_is_taken_up_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or by a process that has another one: what it is kept as says which GPU had it."""
    places: list[object] = []
    load = torch.load

    def loaded(*given: object, **more: object) -> object:
        places.append(more["map_location"])
        return load(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "load", loaded)
    training, validation = histories().up_to(Part.TRAIN), targets(histories(), Part.VALIDATION)
    fit_sequence(
        fresh(training), table(), training, validation, CONFIG, 1, 0, tmp_path,
        **trainer_options(tmp_path),
    )  # fmt: skip
    assert places == ["cpu"]
