import numpy as np
import pytest
import torch

from models.contract.config import SequenceConfig, Towers
from models.contract.types import FloatArray
from models.nets.rows import code_tensor
from models.nets.sequence import SequenceModel
from tests.training.fit.test_fit_sequence import CONFIG, SPACE, table
from tests.training.small import ITEMS, PER_GROUP, WORDS, histories
from training.config import FitConfig
from training.data.histories import Histories, Part, targets
from training.evaluate.ranking import Task
from training.fit import borrowing
from training.fit.borrowing import NEIGHBOURS, borrow, loans, neighbours, try_shares
from training.fit.fit_sequence import fit_sequence, new_model
from training.progress import trainer_options

NEW = PER_GROUP  # the first item of the second group: nobody has used it
BARE = 2 * PER_GROUP  # nobody has used this one either, and nothing is known of it
GROUP_N = np.arange(ITEMS) // PER_GROUP


def content() -> FloatArray:
    """Items of a group look alike."""
    content_ND = np.eye(ITEMS // PER_GROUP, dtype=np.float32)[GROUP_N]
    content_ND += np.random.default_rng(0).normal(0, 0.05, content_ND.shape).astype(np.float32)
    content_ND[BARE] = 0
    return content_ND


def without_the_new() -> Histories:
    """Training histories from which the new items have been taken."""
    known = histories().up_to(Part.TRAIN)
    kept = ~np.isin(known.items, (NEW, BARE))
    users = known.users()[kept]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=len(known)))])
    return Histories(offsets, known.items[kept], known.parts[kept])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SequenceModel:
    directory, flow = tmp_path_factory.mktemp("trained"), without_the_new()
    config = FitConfig(**CONFIG.model_dump() | {"towers": (("id",), ("behaviour",))})
    architecture = SequenceConfig(
        code_space=SPACE, catalogue_size=ITEMS, max_history=8, width=16, blocks=1, heads=1,
        reweighting="off", towers=config.towers,
    )  # fmt: skip
    torch.manual_seed(0)
    model = new_model(architecture, table(), torch.randn(1, 2, 16, 8), WORDS, flow)
    options = trainer_options(directory)
    return fit_sequence(
        model, table(), flow, None, config, 12, 0, directory, **options
    ).model.eval()


def lend(model: SequenceModel, share: float = 0.75) -> SequenceModel:
    found = loans(content(), without_the_new())
    assert found
    return borrow(model, table(), found, share)


def represent(model: SequenceModel) -> torch.Tensor:
    with torch.no_grad():
        return model.represent(torch.zeros(ITEMS, SPACE.slots).long(), torch.arange(ITEMS))


def rank_of_the_new(model: SequenceModel) -> int:
    """Its place for somebody who walked through its group, up to just before it."""
    walk = torch.arange(NEW + PER_GROUP - 4, NEW + PER_GROUP)[None]
    with torch.no_grad():
        user_1D = model(torch.zeros(1, 4, SPACE.slots).int(), walk, torch.tensor([4]))
    score_N = (user_1D @ represent(model).T)[0]
    return int((score_N >= score_N[NEW]).sum())


def test_a_new_item_is_found_by_those_who_like_what_it_resembles(model: SequenceModel) -> None:
    assert rank_of_the_new(model) > PER_GROUP >= rank_of_the_new(lend(model))


def test_an_item_takes_a_share_that_falls_with_its_use(model: SequenceModel) -> None:
    content_ND, before_ND = content(), represent(model)
    count_N = np.bincount(without_the_new().items, minlength=ITEMS)
    lenders = np.flatnonzero((count_N > 0) & content_ND.any(1))
    near_NK = torch.from_numpy(neighbours(content_ND, lenders))
    share_N = torch.from_numpy(0.6 / (1 + count_N)).float()
    share_N[BARE], share_N[NEW] = 0, 1  # of the new one nothing else tells
    after_ND = represent(lend(model, 0.6))
    seen_N1 = torch.from_numpy(count_N > 0)[:, None]  # the others come last, and borrow what is
    mean_ND = torch.where(seen_N1, before_ND[near_NK].mean(1), after_ND[near_NK].mean(1))
    torch.testing.assert_close(after_ND, before_ND + share_N[:, None] * mean_ND)
    assert torch.equal(represent(model), before_ND)  # what lent a copy is as it was


def test_what_is_read_borrows_too(model: SequenceModel) -> None:
    """A history may name an item that nobody else has used."""
    assert not model.read(torch.zeros(1, SPACE.slots).long(), torch.tensor([NEW])).any()
    read_1D = lend(model).read(torch.zeros(1, SPACE.slots).long(), torch.tensor([NEW]))
    assert all(part_1W.any() for part_1W in torch.split(read_1D, 16, dim=-1))


def test_what_has_no_content_neither_borrows_nor_lends(model: SequenceModel) -> None:
    lent = lend(model)
    assert not lent.seen[BARE]
    assert not represent(lent)[BARE].any()
    assert lent.seen[NEW]
    found = loans(content(), without_the_new())
    assert found
    assert not np.isin(found.near_NK, (NEW, BARE)).any()


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_new_item_borrows_the_share_where_its_codes_tell_of_it_and_whole_where_nothing_does(
    share: float,
) -> None:
    """Else a score that is the same for everybody would be calibrated, and shown."""
    torch.manual_seed(0)
    towers: Towers = (("codes", "id"), ("behaviour",))
    config = SequenceConfig(
        code_space=SPACE, catalogue_size=ITEMS, max_history=8, width=16, blocks=1, heads=1,
        reweighting="off", towers=towers,
    )  # fmt: skip
    told = new_model(config, table(), torch.randn(1, 2, 16, 8), WORDS, without_the_new())
    codes_NS = code_tensor(table().codes_NS)
    rows = torch.arange(ITEMS)
    with torch.no_grad():
        before_ND = told.represent(codes_NS, rows)
        after_ND = lend(told, share).represent(codes_NS, rows)
    found = loans(content(), without_the_new())
    assert found
    mean_D = after_ND[torch.from_numpy(found.near_NK[NEW])].mean(0)
    torch.testing.assert_close(after_ND[NEW], before_ND[NEW] + share * mean_D)
    assert before_ND[NEW].any()


def test_shares_are_measured_on_who_wants_what_is_new(model: SequenceModel) -> None:
    """Nobody who waits for the new item gets it, until it borrows."""
    assert rank_of_the_new(model) > PER_GROUP
    found = loans(content(), without_the_new())
    assert found
    validation = targets(histories().up_to(Part.VALIDATION), Part.VALIDATION)
    waiting = np.flatnonzero(validation.target == NEW)
    assert len(waiting)
    task = Task(validation.take(waiting), ITEMS, filter_seen=True)
    tried = try_shares(model, table(), found, (0.0, 0.75), task)
    assert tried[0.0] > 0  # whole, whatever others do
    assert tried[0.75] > 0


@pytest.mark.parametrize("lend", [0, NEIGHBOURS])
def test_where_too_few_lend_nobody_borrows(lend: int) -> None:
    """Each of so few would be a neighbour of itself."""
    content_ND = np.zeros((ITEMS, 1), np.float32)
    content_ND[np.unique(without_the_new().items)[:lend]] = 1
    assert loans(content_ND, without_the_new()) is None


@pytest.mark.parametrize("exact", [True, False])
def test_neighbours_are_the_most_alike_of_those_that_lend(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In cells, too; nobody is a neighbour of itself, copies of it are."""
    if not exact:
        monkeypatch.setattr(borrowing, "_EXACT", 1)
    random = np.random.default_rng(1)
    vectors_ND = random.normal(size=(2000, 8)).astype(np.float32)
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    vectors_ND[100:110] = vectors_ND[100]  # more copies than neighbours
    lenders = np.arange(50, 2000)
    found_NK = neighbours(vectors_ND, lenders)
    assert found_NK.shape == (2000, NEIGHBOURS)
    assert not (found_NK == np.arange(2000)[:, None]).any()
    assert np.isin(found_NK, lenders).all()
    assert np.isin(found_NK[100:110], np.arange(100, 110)).all()
    score_NN = vectors_ND @ vectors_ND.T
    np.fill_diagonal(score_NN, -1)
    score_NN[:, :50] = -1
    best_NK = -np.sort(-score_NN, axis=1)[:, :NEIGHBOURS]  # scores: copies are all as good
    agreeing = np.isclose(np.take_along_axis(score_NN, found_NK, axis=1), best_NK).mean()
    assert agreeing == 1 if exact else agreeing > 0.8
