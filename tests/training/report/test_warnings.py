from typing import Any

import pytest

from tests.training.report.facts_of import card, evaluation, facts
from training.data.dataset import ContentCard, RemovedCard
from training.evaluate.details import MemoryGain
from training.evaluate.intervals import Estimate
from training.report.facts import Content, Cost, Facts, Reject
from training.report.warnings import RULES, warnings
from training.report.warnings.notice import Notice


def of_split(**changes: Any) -> Facts:
    whole = card()
    return facts(card=card(split=whole.split.model_copy(update=changes)))


def rejected() -> Facts:
    source = card().interactions_source.model_copy(update={"rejected": {"missing_item_id": 3000}})
    reject = Reject("clicks.csv", "missing_item_id", 3000, "clicks.csv, line 7")
    return facts(card=card(interactions_source=source), rejects=(reject,))


def unread() -> Facts:
    source = card().interactions_source.model_copy(update={"unread": {"price": 9}})
    return facts(card=card(items_source=source))


def covering(share: float) -> Facts:
    models = evaluation().models
    ours = models["bbqrec"] | {"coverage@10": share}
    return facts(evaluation=evaluation(models=models | {"bbqrec": ours}))


def healthy(**changes: float) -> Facts:
    return facts(health=facts().health | changes)


def fitted(**changes: Any) -> Facts:
    return facts(fitted=facts().fitted.model_copy(update=changes))


SPOILT = {
    "rejects": (rejected(), "3,000 of 100,000 rows of clicks.csv (3.0%)", "rejects.jsonl"),
    "much_left_out": (
        facts(card=card(removed=RemovedCard(k_core=40_000))),
        "40% of the interactions",
        "filter.k_core",
    ),
    "undescribed": (
        facts(card=card(content=ContentCard(undescribed=80, such_as="0017"))),
        "80 of 800 items of the log are not in the catalogue, such as 0017",
        "item ids",
    ),
    "unread": (unread(), "objects, or bytes, were not read: 9 of price", "columns of its own"),
    "no_content": (facts(content={"text": Content(present=0)}), "No item has text", "[items]"),
    "unreadable": (
        facts(content={"image": Content(present=9, corrupt=4)}),
        "4 of modality image",
        "encode_rejects.jsonl",
    ),
    "no_times": (of_split(timed=False), "no times", "interactions.columns.time"),
    "repeats": (facts(card=card(repeats=0.3)), "30% of the interactions", "recommend = 'all'"),
    "adjacent": (facts(card=card(adjacent=0.3)), "30% of the interactions", "'consecutive'"),
    "loses": (
        facts(evaluation=evaluation(loses_to_baseline=True)),
        "popularity, which learns nothing",
        "Do not go live",
    ),
    "chance": (
        facts(evaluation=evaluation(gain=Estimate(0.1, -0.02, 0.2))),
        "goes down to -2%",
        "more users",
    ),
    "few_users": (facts(evaluation=evaluation(users=943)), "Only 943 users", "intervals"),
    "left_out": (
        facts(evaluation=evaluation(left_out=2000)),
        "2,000 users took again",
        "recommend = 'all'",
    ),
    "not_done": (fitted(epochs=10), "last of 10 epochs", "Raise fit.epochs"),
    "dead_codes": (
        healthy(**{"level_2/used": 0.5}),
        "50% of the codes of level 2",
        "codebook_size",
    ),
    "crowded": (healthy(moved_rate=0.2), "20% of the items", "quantize.levels"),
    "narrow": (covering(0.004), "Only 0.4% of the items", "ten histories"),
    "new_items": (fitted(exposure=None), "Too few new items", "evaluate.cold_share"),
    "memory_hurts": (
        facts(evaluation=evaluation(memory=MemoryGain(5000, 0.1, Estimate(-0.2, -0.3, -0.1)))),
        "costs 20%",
        "fit.memory = [0.0]",
    ),
    "no_curves": (facts(curves={"fit": (), "quantize": ()}), "no learning curves", "loggers"),
    "no_refit": (facts(refit=False), "has not learned the end", "fit.refit = true"),
    "slow": (facts(costs={"fit": Cost(seconds=7200)}), "2 h 0 min", "bf16-mixed"),
}


def test_facts_without_fault_get_no_warning() -> None:
    assert warnings(facts()) == ()


@pytest.mark.parametrize("name", [rule.__name__ for rule in RULES])
def test_each_rule_says_what_is_the_case_and_what_to_do(name: str) -> None:
    """And no other rule speaks."""
    spoilt, said, do = SPOILT[name]
    (notice,) = warnings(spoilt)
    assert said in notice.said
    assert do in notice.do


def test_a_rule_at_its_bound_is_silent() -> None:
    for fine in (
        facts(evaluation=evaluation(users=1000, left_out=50)),
        facts(card=card(removed=RemovedCard(k_core=20_000), repeats=0.049)),
        facts(card=card(repeats=0.3), recommend="all"),
        facts(card=card(items_source=None, content=ContentCard(undescribed=800))),
        healthy(**{"level_1/used": 0.8}, moved_rate=0.05),
        facts(costs={"fit": Cost(seconds=900), "refit": Cost(seconds=800)}),
        facts(evaluation=evaluation(memory=MemoryGain(9, 0.1, Estimate(-0.2, -0.4, 0.0)))),
    ):
        assert warnings(fine) == ()


def test_what_nobody_has_taken_is_no_item_of_the_log() -> None:
    """However many there are: of a small log nothing may be in a large catalogue."""
    (found,) = warnings(facts(card=card(content=ContentCard(undescribed=30, unseen=770))))
    assert "30 of 30 items of the log are not in the catalogue" in found.said


def test_the_gravest_comes_first() -> None:
    found = warnings(facts(evaluation=evaluation(loses_to_baseline=True, users=9), refit=False))
    assert [notice.level for notice in found] == ["stop", "look", "note"]
    assert all(isinstance(notice, Notice) for notice in found)
