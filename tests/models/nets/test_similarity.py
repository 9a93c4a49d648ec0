import torch

from models.contract.config import CodeSpace
from models.contract.types import BEHAVIOUR, IMAGE, TEXT
from models.nets.similarity import (
    MISSING_BUCKET,
    SimilarityBuckets,
    modality_pairs,
    to_fixed_point,
)

SPACE = CodeSpace(modalities=(TEXT, IMAGE, BEHAVIOUR), levels=3, codebook_size=32, vector_size=16)


def buckets(count: int = 8) -> SimilarityBuckets:
    torch.manual_seed(0)
    module = SimilarityBuckets(SPACE, count)
    module.set_codebook(torch.randn(1, 3, 32, 16))
    return module


def found(module: SimilarityBuckets, codes_BTS: torch.Tensor) -> torch.Tensor:
    """The bucket of every pair of items, (B, P, T, T)."""
    cells = module(codes_BTS)
    by_pair = zip(cells.bucket_of_PJ, cells.index_BPRT.unbind(1), strict=True)
    return torch.stack([of_J[index_BTT] for of_J, index_BTT in by_pair], dim=1)


def codes(batch: int = 4, length: int = 9) -> torch.Tensor:
    return torch.randint(
        32, (batch, length, SPACE.slots), generator=torch.Generator().manual_seed(1)
    )


def test_fixed_point_inner_products_are_exact_whole_numbers() -> None:
    """float32 must agree with integers, or runtimes could put a pair into different buckets."""
    module = buckets()
    vectors_JQ = module.quantized(codes(64, 20)).flatten(0, 2)
    exact_JJ = vectors_JQ.long() @ vectors_JQ.long().T
    assert torch.equal((vectors_JQ @ vectors_JQ.T).long(), exact_JJ)
    assert int(exact_JJ.abs().max()) < 2**24


def test_training_in_bfloat16_sees_the_same_buckets() -> None:
    """Its 8 bits hold no whole number of the fixed point."""
    module = buckets()
    plain = module(codes()).index_BPRT
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(codes()).index_BPRT, plain)


def test_fixed_point_keeps_the_direction() -> None:
    codebook_MLKQ = torch.randn(2, 3, 32, 16)
    cosine = torch.cosine_similarity(to_fixed_point(codebook_MLKQ), codebook_MLKQ, dim=-1)
    assert float(cosine.min()) > 0.9999


def test_pairs_are_every_modality_with_itself_and_content_across() -> None:
    assert modality_pairs(SPACE) == ((0, 0), (1, 1), (2, 2), (0, 1))


def full(codes_BTS: torch.Tensor) -> torch.Tensor:
    """Lengths of histories without padding."""
    return torch.full((codes_BTS.shape[0],), codes_BTS.shape[1])


def test_more_similar_pairs_never_get_a_lower_bucket() -> None:
    module, codes_BTS = buckets(), codes()
    module.set_edges(codes_BTS, full(codes_BTS))
    found_BPTT = found(module, codes_BTS)
    vectors_BTMQ = module.quantized(codes_BTS)
    for p, (first, second) in enumerate(module.pairs):
        cosine_BTT = torch.cosine_similarity(
            vectors_BTMQ[:, :, None, first], vectors_BTMQ[:, None, :, second], dim=-1
        )
        order = cosine_BTT.flatten().argsort()
        assert (found_BPTT[:, p].flatten()[order].diff() >= 0).all()


def test_quantile_edges_fill_all_buckets_about_evenly() -> None:
    module, codes_BTS = buckets(5), codes(16, 20)
    module.set_edges(codes_BTS, full(codes_BTS))
    below = torch.ones(20, 20, dtype=torch.bool).tril(-1)
    share_PN = torch.stack(
        [
            pair[:, below].flatten().bincount(minlength=5) / pair[:, below].numel()
            for pair in found(module, codes_BTS).unbind(1)
        ]
    )
    assert (share_PN[:, MISSING_BUCKET] == 0).all()
    assert (share_PN[:, 1:] > 0.1).all()


def test_padding_moves_no_edge() -> None:
    """Padding is alike to itself: counted, it would take most buckets for itself."""
    module, padded, codes_BTS = buckets(16), buckets(16), codes(16, 8)
    module.set_edges(codes_BTS, full(codes_BTS))
    much = codes_BTS[:1, :1].expand(16, 40, -1)
    padded.set_edges(torch.cat([codes_BTS, much], dim=1), full(codes_BTS))
    assert torch.equal(module.bucket_of, padded.bucket_of)
    assert int((found(module, codes_BTS)[:, 0].flatten().bincount() > 0).sum()) == 15


def test_a_missing_modality_has_its_own_bucket() -> None:
    module, codes_BTS = buckets(), codes()
    module.set_edges(codes_BTS, full(codes_BTS))
    image = slice(SPACE.levels, 2 * SPACE.levels)
    codes_BTS[0, 2, image] = SPACE.null_code
    found_BPTT = found(module, codes_BTS)
    assert (found_BPTT[0, 1, 2] == MISSING_BUCKET).all()
    assert (found_BPTT[0, 1, :, 2] == MISSING_BUCKET).all()
    assert (found_BPTT[0, 0] != MISSING_BUCKET).all()


def test_places_between_buckets_fill_the_range_from_the_start() -> None:
    """Where edges are learned: a similarity is a place, in order, and missing ones have none."""
    torch.manual_seed(0)
    module, codes_BTS = SimilarityBuckets(SPACE, 8, "affine"), codes(16, 12)
    module.set_codebook(torch.randn(1, 3, 32, 16))
    module.set_edges(codes_BTS, full(codes_BTS))
    vectors_BTMQ = module.quantized(codes_BTS)
    codes_BTS[0, 2, : SPACE.levels] = SPACE.null_code
    found = module(codes_BTS)
    assert found.share_BPRT is not None
    assert int(found.index_BPRT.max()) == 8 - 2  # the bucket after it is looked up, too
    below_TT = torch.ones(12, 12, dtype=torch.bool).tril(-1)
    for p, (first, second) in enumerate(module.pairs):
        cosine_BTT = torch.cosine_similarity(
            vectors_BTMQ[1:, :, None, first], vectors_BTMQ[1:, None, :, second], dim=-1
        )
        place_BTT = (found.index_BPRT + found.share_BPRT)[1:, p].detach()
        order = cosine_BTT.flatten().argsort()
        assert (place_BTT.flatten()[order].diff() > -1e-4).all()
        low, high = place_BTT[:, below_TT].flatten().quantile(torch.tensor([0.05, 0.95])).tolist()
        assert 1 <= low < 3.5
        assert 5 < high <= 7
    assert (found.index_BPRT[0, 0, 2] == MISSING_BUCKET).all()
    assert not found.share_BPRT[0, 0, 2].any()


def test_at_random_a_bucket_is_of_the_two_items_and_says_nothing_of_them() -> None:
    module, codes_BTS = SimilarityBuckets(SPACE, 6, "random"), codes(4, 30)
    index_BPTT = module(codes_BTS).index_BPRT
    shares_J = index_BPTT.flatten().bincount(minlength=6) / index_BPTT.numel()
    assert shares_J[MISSING_BUCKET] == 0
    assert (shares_J[1:] > 0.15).all()
    order_T = torch.randperm(30)
    moved_BPTT = module(codes_BTS[:, order_T]).index_BPRT
    assert torch.equal(moved_BPTT, index_BPTT[:, :, order_T][..., order_T])
    for dim in (2, 3):  # neither of the two alone decides
        assert (index_BPTT != index_BPTT.narrow(dim, 0, 1)).any(dim).all()
