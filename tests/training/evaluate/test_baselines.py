import numpy as np
import pytest

from tests.training.small import last_two_held_out
from training.data.histories import Histories, Part, Windows, targets
from training.evaluate import baselines
from training.evaluate.baselines import DECAYS, ItemKnn, Popularity, choose_decay, item_similarity
from training.evaluate.ranking import Task, metrics, rank

ITEMS = 8


def histories() -> Histories:
    random = np.random.default_rng(3)
    rows = [random.permutation(ITEMS)[: random.integers(3, 7)] for _ in range(30)]
    return last_two_held_out(rows)


def test_similarity_is_the_cosine_of_tf_idf_user_vectors() -> None:
    data = histories()
    uses_NU = np.zeros((ITEMS, len(data)))
    for user in range(len(data)):
        uses_NU[data[user], user] = 1
    weighted_NU = uses_NU * (np.log(ITEMS / uses_NU.sum(0)) + 1)
    unit_NU = weighted_NU / np.linalg.norm(weighted_NU, axis=1, keepdims=True)
    expected_NN = unit_NU @ unit_NU.T
    np.fill_diagonal(expected_NN, 0)
    np.testing.assert_allclose(item_similarity(data, ITEMS).toarray(), expected_NN, atol=1e-6)


@pytest.mark.parametrize("filter_seen", [False, True])
def test_in_a_large_catalogue_the_nearest_are_kept(
    filter_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = histories()
    whole_NN = item_similarity(data, ITEMS, filter_seen=filter_seen).toarray()
    monkeypatch.setattr(baselines, "_WHOLE", ITEMS - 1)
    monkeypatch.setattr(baselines, "_AT_ONCE", 3 * ITEMS)
    same_NN = item_similarity(data, ITEMS, filter_seen=filter_seen).toarray()
    np.testing.assert_allclose(same_NN, whole_NN, atol=1e-6)
    monkeypatch.setattr(baselines, "_NEAREST", 2)
    nearest_NN = item_similarity(data, ITEMS, filter_seen=filter_seen).toarray()
    assert ((nearest_NN > 0).sum(axis=1) == 2).all()
    third_N = np.sort(whole_NN, axis=1)[:, -3]
    np.testing.assert_allclose(
        nearest_NN, np.where(whole_NN > third_N[:, None], whole_NN, 0), atol=1e-6
    )


def test_decay_weighs_the_latest_item_most() -> None:
    data = histories()
    similarity_NN = item_similarity(data, ITEMS)
    window = Windows(np.array([0]), np.array([3]))
    first, second, third = data.items[:3]
    dense_NN = similarity_NN.toarray()
    expected_N = 0.25 * dense_NN[first] + 0.5 * dense_NN[second] + dense_NN[third]
    scores_BN = ItemKnn(similarity_NN, 0.5).score(data.items, window)
    np.testing.assert_allclose(scores_BN[0], expected_N, atol=1e-6)


def test_popularity_counts_training_interactions() -> None:
    data = histories()
    scores_BN = Popularity(data, ITEMS).score(
        data.items, Windows(np.array([0, 3]), np.ones(2, int))
    )
    assert scores_BN.tolist() == [np.bincount(data.items, minlength=ITEMS).tolist()] * 2


def test_the_decay_is_the_one_with_the_best_validation_ndcg() -> None:
    data = histories()
    similarity_NN = item_similarity(data.up_to(Part.TRAIN), ITEMS)
    validation = Task(targets(data, Part.VALIDATION), ITEMS, filter_seen=True)
    ndcg = {
        decay: metrics(rank(ItemKnn(similarity_NN, decay), validation, 10), ITEMS, (10,))
        for decay in DECAYS
    }
    best = max(values["ndcg@10"] for values in ndcg.values())
    chosen = choose_decay(lambda decay: ItemKnn(similarity_NN, decay), validation)
    assert ndcg[chosen]["ndcg@10"] == best > min(v["ndcg@10"] for v in ndcg.values())
