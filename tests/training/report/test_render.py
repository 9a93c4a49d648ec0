from html.parser import HTMLParser

import pytest

from tests.training.report.facts_of import card, evaluation, facts
from training.data.dataset import RemovedCard
from training.data.rejects import Reason
from training.report import words
from training.report.facts import Facts, Group, Reject, Shown, Story
from training.report.render import render

HOSTILE = """<script>alert("1")</script>'"><img src=x onerror=alert(1)>&lt;b&gt;{{ 7 * 7 }}"""


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.ids: set[str | None] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids.add(dict(attrs).get("id"))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile() -> Facts:
    """Whatever a user's files may say, in every place that shows it."""
    whole, shown = facts(), Shown(HOSTILE, hit=True)
    source = card().interactions_source.model_copy(update={"source": HOSTILE})
    group = Group(1, 2, (HOSTILE, HOSTILE), ((0.0, 0.0),))
    return facts(
        name=HOSTILE,
        card=card(interactions_source=source),
        rejects=(Reject(HOSTILE, "malformed_line", 1, HOSTILE),),
        stories=(Story((shown,), 1, HOSTILE, (shown,), 1),),
        map=whole.map._replace(groups=(group,), labels=((0.5, 0.5, HOSTILE),)),
        settings=(*whole.settings, whole.settings[0]._replace(value=HOSTILE, changed=True)),
    )


def test_what_users_wrote_is_shown_and_never_run() -> None:
    page = Page(render(hostile()))
    clean = Page(render(facts()))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in clean.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE in page.texts
    assert "".join(page.texts).count(HOSTILE) > 10


def test_whatever_was_left_out_has_a_name() -> None:
    assert {*words.REMOVED} == {*RemovedCard.model_fields}
    assert {*words.REASONS} == {*Reason}
    removed = RemovedCard.model_validate(dict.fromkeys(RemovedCard.model_fields, 7))
    page = render(facts(card=card(removed=removed, unnamed={"wishlist": 5})))
    assert "(filter.listed)" in page
    assert "<code>wishlist</code>" in page


def test_nothing_is_asked_of_any_host() -> None:
    text = render(facts())
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "use"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "srcset", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "url(" not in text
    assert "@import" not in text
    assert "://" not in text
    policies = [found["content"] for _, found in page.tags if "http-equiv" in found]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_link_has_a_target_and_every_chart_a_name() -> None:
    text = render(facts())
    page = Page(text)
    for tag, attributes in page.tags:
        if tag == "a":
            assert (attributes["href"] or "")[1:] in page.ids
    tags = [tag for tag, _ in page.tags]
    drawn = [n for n, tag in enumerate(tags) if tag == "svg"]
    assert len(drawn) == 7
    assert all(tags[n + 1] == "title" for n in drawn)
    assert "<title></title>" not in text
    assert "<title />" not in text


def test_the_same_facts_make_the_same_bytes() -> None:
    assert render(facts()) == render(facts())


@pytest.mark.parametrize(
    "bare",
    [
        facts(over_time=None, card=card(items_source=None), curves={"fit": (), "quantize": ()}),
        facts(pairs=(), stories=(), costs={}, content={}),
        facts(evaluation=evaluation(new_items=None, memory=None, gain=None, slices=())),
        facts(evaluation=evaluation(loses_to_baseline=True, gain=None), refit=False),
    ],
)
def test_what_a_run_does_not_have_is_left_out(bare: Facts) -> None:
    assert "</html>" in render(bare)


def test_the_headline_is_in_plain_words() -> None:
    text = " ".join(render(facts()).split())
    assert "For 30 of 100 users, what they took next was among the 10 items recommended." in text
    assert "The best simple baseline found it for 20." in text
    assert "Better than the best baseline: NDCG@10 +50% beside popularity" in text
    assert "At least 98% of the codes are in use at every level" in text
    assert "Similar text raises attention" in text
    assert "It helps: +10% NDCG@10" in text
