from typing import Any

import pytest
import torch
from pydantic import ValidationError

from models.contract.config import CodeSpace, Reweighting, SequenceConfig, Towers
from models.contract.types import BEHAVIOUR, IMAGE, TEXT
from models.nets.behaviour_tower import BehaviourTower
from models.nets.sequence import SequenceModel

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


FUSED = (("codes", "id"), ("behaviour",))


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


def test_behaviour_is_a_tower_of_its_own() -> None:
    with pytest.raises(ValidationError, match="a tower of behaviour sees words beside"):
        model(towers=(("behaviour", "id"),))
