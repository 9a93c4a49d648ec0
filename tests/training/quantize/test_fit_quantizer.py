import dataclasses
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from models.contract.semantic_id import Resolution
from models.contract.types import BEHAVIOUR, IMAGE, TEXT, CodeArray
from models.nets.quantizer import Quantizer
from tests.training.small import ITEMS, World, all_learned, histories, world
from training import stage_files
from training.config import QuantizeConfig, RunConfig
from training.data.histories import Histories, Part
from training.errors import UserError
from training.progress import trainer_options
from training.quantize import fit_quantizer as quantizing
from training.quantize.behaviour import behaviour_embeddings
from training.quantize.codes import build_table, code_space
from training.quantize.fit_quantizer import QuantizerModule, fit_quantizer
from training.quantize.health import code_health
from training.quantize.learn import learn_codes
from training.quantize.transitions import Transitions
from training.quantize.views import View

CONFIG = QuantizeConfig(
    levels=3, codebook_size=16, vector_size=16, hidden_size=32, epochs=40, batch_size=36
)


def quantize(
    directory: Path, made: World, config: QuantizeConfig = CONFIG
) -> tuple[QuantizerModule, Resolution]:
    L.seed_everything(0, verbose=False)
    space = code_space(made.views, CONFIG)
    sizes = {modality: view.vectors_NX.shape[1] for modality, view in made.views.items()}
    quantizer = Quantizer(space, sizes, ITEMS, CONFIG.hidden_size)
    training = made.histories.up_to(Part.TRAIN)
    options = trainer_options(directory)
    module = fit_quantizer(quantizer, made.views, training, config, 0, directory, **options)
    return module, build_table(quantizer.eval(), made.views)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[World, QuantizerModule, Resolution]:
    made = world()
    return made, *quantize(tmp_path_factory.mktemp("quantizer"), made)


def test_all_that_is_learned_from_goes_where_it_is_learned(
    trained: tuple[World, QuantizerModule, Resolution], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, module, _ = trained
    for name in ("views", "transitions", "seen_N", "decay_T"):  # another test's, too
        monkeypatch.setattr(module, name, getattr(module, name))
    module._move(torch.device("meta"))
    views = [part for view in module.views.values() for part in dataclasses.astuple(view)]
    steps = [part for part in vars(module.transitions).values() if isinstance(part, torch.Tensor)]
    moved = [*views, *steps, module.seen_N, module.decay_T]
    assert len(moved) == 2 * len(module.views) + 3 + 2
    assert {part.device.type for part in moved} == {"meta"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_asked_for_is_not_passed_over(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"accelerator": "gpu"})
    with pytest.raises(MisconfigurationException, match="gpu"):
        quantize(tmp_path, world(), config)


def untrained(made: World, quantizer: Quantizer) -> QuantizerModule:
    """What would train a copy of it."""
    training = made.histories.up_to(Part.TRAIN)
    return QuantizerModule(deepcopy(quantizer), made.views, training, CONFIG, 0)


def test_the_estimators_learn_to_tell_one_branch_by_the_other(
    trained: tuple[World, QuantizerModule, Resolution],
) -> None:
    """Else their bound bounds nothing, and the branches are pushed apart by noise."""
    made, module, _ = trained
    everything_N, fresh = torch.arange(ITEMS), untrained(made, module.quantizer)
    torch.manual_seed(1)
    for part in fresh.quantizer.clubs.modules():
        if isinstance(part, torch.nn.Linear):
            part.reset_parameters()
    with torch.no_grad():
        told, untold = (one.estimator_loss(everything_N) for one in (module, fresh))
    assert told < untold - 1


def test_a_step_along_the_bound_pushes_the_branches_apart(
    trained: tuple[World, QuantizerModule, Resolution],
) -> None:
    made, module, _ = trained
    step, everything_N = untrained(made, module.quantizer), torch.arange(ITEMS)
    before = step.encoder_losses(everything_N)["club"]
    before.backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(step.quantizer.encoder_parameters(), 0.1).step()
    with torch.no_grad():
        bounds = []
        for modality in (TEXT, IMAGE):
            view, club = made.views[modality], step.quantizer.club(modality)
            assert club is not None
            branches = step.quantizer.branches(modality, view.vectors_NX[view.present_N])
            bounds.append(club.bound(*branches))
        assert CONFIG.mutual_information * sum(bounds) < before


def test_views_of_one_item_are_drawn_together_wherever_they_stand_in_a_batch(
    trained: tuple[World, QuantizerModule, Resolution],
) -> None:
    """Of items that have both; each is told from the others by a direction of its own."""
    _, module, _ = trained
    one_B, other_B = torch.tensor([4, 1, 3, 0]), torch.tensor([4, 2, 1, 5, 0])
    own_NQ = torch.eye(6)
    aligned = {TEXT: (one_B, own_NQ[one_B]), IMAGE: (other_B, own_NQ[other_B])}
    assert module._contrast(aligned) < 0.01
    turned = {TEXT: (one_B, own_NQ[one_B]), IMAGE: (other_B, own_NQ[other_B].roll(1, 0))}
    assert module._contrast(turned) > 1
    apart = {TEXT: (one_B[2:3], own_NQ[3:4]), IMAGE: (other_B, own_NQ[other_B])}
    assert module._contrast(apart) == 0


def test_a_sequence_is_what_came_before_the_latest_most(
    trained: tuple[World, QuantizerModule, Resolution], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, module, _ = trained
    told: list[tuple[torch.Tensor, ...]] = []

    def loss(*given: torch.Tensor) -> torch.Tensor:
        told.append(given)
        return torch.zeros(())

    monkeypatch.setattr(quantizing, "info_nce", loss)
    monkeypatch.setattr(module, "transitions", Transitions.of(all_learned([[7, 8, 9]])))
    module._sequence_contrast(20)
    ((sequence_BQ, comes_BQ, next_B, _),) = told
    assert {*next_B.tolist()} == {8, 9}
    with torch.no_grad():
        first_Q, second_Q, third_Q = module.item_vectors(torch.tensor([7, 8, 9]))
        for sequence_Q, comes_Q, item in zip(sequence_BQ, comes_BQ, next_B.tolist(), strict=True):
            before_Q = first_Q if item == 8 else second_Q + 0.7 * first_Q
            torch.testing.assert_close(sequence_Q, before_Q)
            torch.testing.assert_close(comes_Q, second_Q if item == 8 else third_Q)


def test_an_item_is_the_sum_of_the_modalities_that_it_has(
    trained: tuple[World, QuantizerModule, Resolution], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of z_ID, where training saw it."""
    made, module, _ = trained
    there_N = made.views[IMAGE].present_N
    with_, without = (int(there_N.to(torch.int8).argmax()), int((~there_N).to(torch.int8).argmax()))
    items_B = torch.tensor([with_, without])
    seen_N = torch.zeros(ITEMS, dtype=torch.bool)
    seen_N[with_] = True
    monkeypatch.setattr(module, "seen_N", seen_N)
    with torch.no_grad():
        found_BQ, quantizer = module.item_vectors(items_B), module.quantizer
        expected_BQ = torch.zeros_like(found_BQ)
        expected_BQ[0] += quantizer.id_residual.weight[with_]
        for modality, view in made.views.items():
            bound_BQ = quantizer.branches(modality, view.vectors_NX[items_B]).bound_BQ
            vectors_BQ = quantizer.codebook(modality)(bound_BQ).vectors_BQ
            for row in range(1 if modality == IMAGE else 2):
                expected_BQ[row] += vectors_BQ[row]
    torch.testing.assert_close(found_BQ, expected_BQ)


def test_every_semantic_id_is_unique_and_missing_pictures_are_null(
    trained: tuple[World, QuantizerModule, Resolution],
) -> None:
    made, _, resolution = trained
    assert len(np.unique(resolution.table.semantic_ids(), axis=0)) == ITEMS
    picture = resolution.table.present_NM[:, 1]
    assert (picture == made.views[IMAGE].present_N.numpy()).all()
    assert 0 < picture.sum() < ITEMS


def test_quantized_vectors_recover_the_groups(
    trained: tuple[World, QuantizerModule, Resolution],
) -> None:
    """The truth is known: the nearest item, in code space alone, is of the same group."""
    made, module, _ = trained
    with torch.no_grad():
        everything_N = torch.arange(ITEMS)
        vectors_NQ = module.item_vectors(everything_N) - module.quantizer.id_residual(everything_N)
    near_NN = torch.nn.functional.normalize(vectors_NQ, dim=-1)
    near_NN = near_NN @ near_NN.T - 2 * torch.eye(ITEMS)
    agree = made.group_N[near_NN.argmax(1).numpy()] == made.group_N
    assert agree.mean() > 0.9  # chance: 0.15


@pytest.mark.parametrize(
    ("rows", "present"),
    [
        ([[0], [1], [2], [3]], [False] * 4),  # nothing is used beside anything
        ([[0, 1], [1, 0]], [True, True]),  # nothing to factorise
        ([[0, 0], [0]], [False]),
    ],
)
def test_small_logs_have_no_behaviour_to_tell_items_by(
    rows: list[list[int]], present: list[bool]
) -> None:
    vectors_NX, present_N = behaviour_embeddings(all_learned(rows), len(present), 16, seed=0)
    assert vectors_NX.shape == (len(present), 16)
    assert not vectors_NX.any()
    assert present_N.tolist() == present
    view = View.standardise(vectors_NX, present_N)
    assert not view.vectors_NX.any()  # nor is it NaN


def test_histories_that_tell_nothing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"name": "small", "output": tmp_path, "interactions": {"path": "log.csv"}}
    config = RunConfig.model_validate(asked)
    (tmp_path / "encode").mkdir()
    (tmp_path / "encode" / "encode.json").write_text("{}")
    prepared = SimpleNamespace(card=SimpleNamespace(items=1))
    monkeypatch.setattr(stage_files, "data", lambda _: prepared)
    with pytest.raises(UserError, match="nobody has two interactions"):
        learn_codes(config, all_learned([[0], [0]]), tmp_path)
    with pytest.raises(UserError, match="nothing tells items apart"):
        learn_codes(config, all_learned([[0, 0]]), tmp_path)


def test_health_is_told_in_numbers_of_items_that_are_all_alike(tmp_path: Path) -> None:
    """Text says the same of all, nothing is known of behaviour: the rest is numbers."""
    made = world()
    alike = View.standardise(np.ones((ITEMS, 20), np.float32), np.ones(ITEMS, bool))
    nothing = View.standardise(np.zeros((ITEMS, 16), np.float32), np.zeros(ITEMS, bool))
    few = made._replace(views={TEXT: alike, BEHAVIOUR: nothing})
    health = code_health(*quantize(tmp_path, few, CONFIG.model_copy(update={"epochs": 1})))
    assert np.isfinite([*health.values()]).all()
    assert health["collision_rate_after"] == 0


def test_codes_are_healthy(trained: tuple[World, QuantizerModule, Resolution]) -> None:
    _, module, resolution = trained
    health = code_health(module, resolution)
    assert all(health[f"level_{level}/used"] > 0.9 for level in (1, 2, 3))
    assert health["text/specific_variance"] > 0.01  # neither branch went constant to please CLUB
    assert health["text/bound_variance"] > 0.01
    assert health["text/unexplained_variance"] < 0.9
    items = len(resolution.table)
    shared = [health[name] * items for name in ("collision_rate", "moved_rate", "extended_rate")]
    assert shared == pytest.approx([resolution.collided, resolution.moved, resolution.extended])


def test_no_held_out_interaction_reaches_a_code(tmp_path: Path) -> None:
    """Changing every validation and test item changes no code: nothing leaks."""
    flow = histories()
    changed = dataclasses.replace(flow, items=flow.items.copy())
    held_out = flow.parts > Part.TRAIN
    random = np.random.default_rng(9)
    changed.items[held_out] = random.integers(0, ITEMS, held_out.sum())
    assert (changed.items != flow.items).any()

    def codes(name: str, histories: Histories) -> CodeArray:
        return quantize(tmp_path / name, world(flow=histories))[1].table.codes_NS

    assert (codes("one", flow) == codes("other", changed)).all()
