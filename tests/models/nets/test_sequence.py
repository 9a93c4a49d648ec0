from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.contract.config import CodeSpace, Reweighting, SequenceConfig, Towers
from models.contract.types import BEHAVIOUR, IMAGE, TEXT
from models.nets.behaviour_tower import BehaviourTower
from models.nets.sequence import SequenceModel
from models.nets.words import ItemWords

SPACE = CodeSpace(modalities=(TEXT, IMAGE, BEHAVIOUR), levels=2, codebook_size=16, vector_size=8)
ITEMS = 30


def model(reweighting: Reweighting = "additive", **fields: Any) -> SequenceModel:
    torch.manual_seed(0)
    config = SequenceConfig(
        code_space=SPACE,
        catalogue_size=ITEMS,
        max_history=12,
        width=16,
        heads=2,
        reweighting=reweighting,
        buckets=6,
        **{"blocks": 2} | fields,
    )
    made = SequenceModel(config)
    made.seen.fill_(1)
    if reweighting != "off":
        made.buckets.set_codebook(torch.randn(1, 2, 16, 8))
        made.buckets.set_edges(torch.randint(16, (8, 12, SPACE.slots)), torch.full((8,), 12))
    return made.eval()


def inputs(batch: int = 5, length: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    codes_BTS = torch.randint(16, (batch, length, SPACE.slots), generator=generator)
    items_BT = torch.randint(ITEMS, (batch, length), generator=generator)
    return codes_BTS, items_BT, torch.randint(1, length + 1, (batch,), generator=generator)


@pytest.mark.parametrize("form", ["additive", "multiplicative"])
def test_training_starts_from_the_plain_backbone(form: Reweighting) -> None:
    """Zero-initialised: the same weights without reweighting give the same user vectors."""
    plain, reweighted = model("off"), model(form)
    reweighted.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(plain(*inputs()), reweighted(*inputs()))


@pytest.mark.parametrize("form", ["additive", "multiplicative"])
def test_similarity_buckets_change_attention(form: Reweighting) -> None:
    reweighted = model(form)
    before = reweighted(*inputs())
    for name, parameter in reweighted.named_parameters():
        if name.endswith("bucket_bias"):
            torch.nn.init.normal_(parameter)
    assert not torch.allclose(before, reweighted(*inputs()), atol=1e-3)


def test_bucket_biases_learn_alike_however_they_are_looked_up() -> None:
    """While training the gradient is counted, elsewhere it is torch's own."""
    one = model()
    one.apply(lambda part: setattr(part, "dropped", 0))  # no dropout

    def gradient() -> torch.Tensor:
        one.zero_grad()
        one(*inputs()).square().sum().backward()
        found = one.get_parameter("towers.0.blocks.0.attention.bucket_bias").grad
        assert found is not None
        return found

    expected, counted = gradient(), (one.train(), gradient())[1]
    assert bool(expected.any())
    torch.testing.assert_close(counted, expected)


FUSED: Towers = (("codes", "id"), ("behaviour",))
WORDY: Towers = (("words", "id"), ("words", "behaviour"))


@pytest.mark.parametrize("towers", [(("codes", "id"), ("id",)), FUSED])
def test_padding_and_neighbours_in_the_batch_change_nothing(towers: Towers) -> None:
    made, (codes_BTS, items_BT, length_B) = model(towers=towers), inputs()
    together = made(codes_BTS, items_BT, length_B)
    for row, length in enumerate(length_B.tolist()):
        alone = made(
            codes_BTS[row : row + 1, :length], items_BT[row : row + 1, :length], length_B[row, None]
        )
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


def test_the_future_is_not_seen() -> None:
    made, (codes_BTS, items_BT, _) = model(), inputs()
    hidden_BTD = made.encode(made.read(codes_BTS, items_BT), codes_BTS)
    changed = codes_BTS.clone()
    changed[:, 5:] = 3
    other_BTD = made.encode(made.read(changed, items_BT), changed)
    assert torch.equal(hidden_BTD[:, :5], other_BTD[:, :5])
    assert not torch.allclose(hidden_BTD[:, 5:], other_BTD[:, 5:])


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("edges", ["quantile", "affine", "random"])
@pytest.mark.parametrize("block", ["ligr", "sasrec"])
@pytest.mark.parametrize("towers", [(("codes", "id"), ("id",)), FUSED])
def test_computing_the_last_row_alone_is_exact(
    blocks: int, edges: str, block: str, towers: Towers
) -> None:
    made = model(blocks=blocks, edges=edges, block=block, towers=towers)
    for name, parameter in made.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter)
    codes_BTS, items_BT, length_B = inputs()
    every_BTD = made.encode(made.read(codes_BTS, items_BT), codes_BTS)
    last_BD = every_BTD[torch.arange(len(length_B)), length_B - 1]
    torch.testing.assert_close(made(codes_BTS, items_BT, length_B), last_BD, atol=1e-5, rtol=0)


def test_order_matters() -> None:
    made, (codes_BTS, items_BT, _) = model(towers=(("codes", "id"),)), inputs()
    for tower in made.towers:
        tower.blocks[0].attention.distance_bias.data.normal_()  # type: ignore[union-attr, index]
    full_B = torch.full((5,), 9)
    flipped = torch.cat([codes_BTS[:, :8].flip(1), codes_BTS[:, 8:]], 1)
    flipped_items = torch.cat([items_BT[:, :8].flip(1), items_BT[:, 8:]], 1)
    assert not torch.allclose(
        made(codes_BTS, items_BT, full_B), made(flipped, flipped_items, full_B), atol=1e-4
    )


def test_an_item_that_training_never_saw_has_no_id_residual() -> None:
    made, codes_1S = model(), torch.ones(1, SPACE.slots, dtype=torch.int64)
    made.seen[7] = 0
    unseen = made.represent(codes_1S, torch.tensor([7]))
    outside = made.represent(codes_1S, torch.tensor([ITEMS]))
    made.seen[ITEMS] = 0
    assert torch.equal(unseen, made.represent(codes_1S, torch.tensor([ITEMS])))
    assert not torch.equal(unseen, outside)


def test_the_behaviour_tower_sums_what_it_reads_and_forgets_with_every_step() -> None:
    """By hand: a quarter of the width each with a decay of its own."""
    made, (codes_BTS, items_BT, _) = model(towers=FUSED, behaviour_weight=0.5), inputs()
    tower = made.towers[1]
    assert isinstance(tower, BehaviourTower)
    tower.anyone.data.normal_()
    read_BTW = made.read(codes_BTS, items_BT)[..., 16:]
    user_BW = made(codes_BTS, items_BT, torch.full((5,), 9))[:, 16:]
    decay_W = tower.decay.sigmoid().repeat_interleave(4)
    torch.testing.assert_close(decay_W[::4], torch.tensor([0.6, 0.8, 0.9, 0.97]))
    sums_BW = torch.stack([decay_W ** (8 - t) * read_BTW[:, t] for t in range(9)]).sum(0)
    torch.testing.assert_close(user_BW, (sums_BW + tower.anyone) * 0.5)
    tower.train().dropout.dropped = 0
    alone_BW = made(codes_BTS, items_BT, torch.full((5,), 9))[:, 16:]
    torch.testing.assert_close(alone_BW, sums_BW + tower.anyone)  # while it learns by itself


def test_what_the_behaviour_tower_reads_of_an_item_is_not_what_it_scores() -> None:
    made, (codes_BTS, items_BT, _) = model(towers=FUSED), inputs()
    made.seen[3] = 0
    read_BTD, scored_BTD = made.read(codes_BTS, items_BT), made.represent(codes_BTS, items_BT)
    assert torch.equal(read_BTD[..., :16], scored_BTD[..., :16])
    unseen_BT = items_BT == 3
    assert unseen_BT.any()
    assert (read_BTD[unseen_BT][:, 16:] == 0).all()
    assert (scored_BTD[unseen_BT][:, 16:] == 0).all()
    assert not torch.isclose(read_BTD[~unseen_BT], scored_BTD[~unseen_BT])[:, 16:].all()


def test_the_behaviour_tower_knows_what_words_lead_to() -> None:
    """Of an item nobody used, too: as it is scored, and as it is read, by vectors of its own."""
    made = model(towers=WORDY)
    made.seen[:] = 0
    for tower in made.each():
        tower.learn_words(words())
    vectors = made.word_vectors()
    codes_NS, items_N = torch.zeros(ITEMS, SPACE.slots).long(), torch.arange(ITEMS)
    behaviour = slice(16, 32)
    assert not torch.equal(vectors.scored_VD[:, behaviour], vectors.read_VD[:, behaviour])
    for fold in (False, True):
        if fold:
            for tower in made.each():
                tower.fold_words()
        with torch.no_grad():
            scored_ND, read_ND = made.represent(codes_NS, items_N), made.read(codes_NS, items_N)
        for made_ND, by_word in ((scored_ND, vectors.scored_VD), (read_ND, vectors.read_VD)):
            sums_ND = by_word[items_N % 5] + by_word[5 + items_N % 3]
            torch.testing.assert_close(made_ND[:, behaviour], sums_ND[:, behaviour])
            assert made_ND[:, behaviour].any()


def test_training_leaves_one_coordinate_free() -> None:
    """Steps of whatever size: nothing of a score is ever made of it."""
    made, (codes_BTS, items_BT, length_B) = model(towers=WORDY).train(), inputs()
    for tower in made.each():
        tower.learn_words(words())
    optimizer = torch.optim.Adam(made.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        items_ND = made.represent(torch.zeros(ITEMS, SPACE.slots).long(), torch.arange(ITEMS))
        (made(codes_BTS, items_BT, length_B) @ items_ND.T).square().sum().backward()
        optimizer.step()
    free = 31
    assert not items_ND[:, free].any()
    assert not made(codes_BTS, items_BT, length_B)[:, free].any()
    assert items_ND[:, free - 1].any()


@pytest.mark.parametrize("weight", [1.0, 0.35])
def test_a_calibration_scales_new_items_scores_and_adds_one_constant(weight: float) -> None:
    """For whoever asks; known items' scores stay."""
    made, (codes_BTS, items_BT, length_B) = model(towers=FUSED, behaviour_weight=weight), inputs()
    new_N = torch.zeros(ITEMS)
    new_N[:7] = 1
    made.seen[:7] = 0
    codes_NS, items_N = torch.randint(16, (ITEMS, SPACE.slots)), torch.arange(ITEMS)
    history_BT = 7 + items_BT % (ITEMS - 7)  # of known ones

    def scores() -> torch.Tensor:
        with torch.no_grad():
            user_BD: torch.Tensor = made(codes_BTS, history_BT, length_B)
            return user_BD @ made.represent(codes_NS, items_N).T

    before_BN = scores()
    with torch.no_grad():
        times_D, plus_D = made.calibration(0.6, 9.0)
        expected_ND = made.represent(codes_NS, items_N)[:7] * times_D + plus_D
        read_ND = made.read(codes_NS, items_N)
    made.calibrate(codes_NS, new_N, 0.6, 9.0)
    after_BN = scores()
    torch.testing.assert_close(after_BN[:, 7:], before_BN[:, 7:])
    torch.testing.assert_close(after_BN[:, :7], 0.6 * before_BN[:, :7] + 9.0)
    with torch.no_grad():  # what the intake does to an item that comes later
        torch.testing.assert_close(made.represent(codes_NS, items_N)[:7], expected_ND)
        assert torch.equal(made.read(codes_NS, items_N)[7:], read_ND[7:])
        assert torch.equal(made.read(codes_NS, items_N)[:, 16:], read_ND[:, 16:])


def test_without_a_behaviour_tower_there_is_no_room_for_a_constant() -> None:
    made = model(towers=(("codes", "id"),))
    assert not made.has_free_column()
    with pytest.raises(ValueError, match="no column for an offset"):
        made.calibration(1.0, 2.0)


def words() -> ItemWords:
    """Two words an item: one in five share the first, one in three the second."""
    items_N = np.arange(ITEMS)
    words_J = np.stack([items_N % 5, 5 + items_N % 3], 1).ravel().astype(np.int32)
    return ItemWords(np.arange(0, 2 * ITEMS + 1, 2), words_J, 8)


def test_behaviour_is_a_tower_of_its_own() -> None:
    with pytest.raises(ValidationError, match="a tower of behaviour sees words beside"):
        model(towers=(("behaviour", "id"),))
