"""Histories: in order of time whatever comes when, bounded, and the same in every process."""

from hypothesis import given
from hypothesis import strategies as st

from service.events.record import Event
from service.events.users import Users, page
from tests.service.events.made import answer, event

EVENTS = st.lists(
    st.builds(
        lambda user, item, time, kind: event("", user, item, time=float(time), type=kind),
        st.sampled_from(["ada", "bob"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.integers(0, 20),
        st.sampled_from(["view", "purchase", "dislike", "other"]),
    ),
    max_size=30,
)


def told(events: list[Event], most: int = 5, most_users: int = 10) -> Users:
    users = Users({"view", "purchase"}, most, most_users)
    for each in events:
        users.note(each)
    return users


@given(EVENTS)
def test_a_history_is_in_order_bounded_and_without_doubles_side_by_side(
    events: list[Event],
) -> None:
    users = told(events)
    for name in ("ada", "bob"):
        if (user := users.get(name)) is None:
            continue
        assert list(user.times) == sorted(user.times)
        assert len(user.items) == len(user.times) <= 5
        sent = {(e.item_id, e.time) for e in events if e.user_id == name}
        assert {*zip(user.items, user.times, strict=True)} <= sent


@given(EVENTS)
def test_the_last_word_on_an_item_counts_in_whatever_order_it_comes(events: list[Event]) -> None:
    """Of words of the same time the one that comes last."""
    users = told(events, most=200)
    for name in ("ada", "bob"):
        mine = [e for e in events if e.user_id == name and e.type != "other"]
        last = {e.item_id: e.type for e in sorted(mine, key=lambda e: e.time)}
        user = users.get(name)
        disliked = {item for item, kind in last.items() if kind == "dislike"}
        assert {*(user.disliked if user else ())} == disliked


def test_the_latest_are_kept() -> None:
    user = told([event("", item_id=str(n), time=float(n), type="view") for n in range(9)]).get(
        "ada"
    )
    assert user is not None
    assert user.items == ["4", "5", "6", "7", "8"]


def test_whoever_was_heard_of_longest_ago_is_forgotten() -> None:
    names = ["ada", "bob", "eve", "ada", "dan", "kim"]
    users = told([event("", name, type="view") for name in names], most_users=3)
    assert len(users) == 3
    assert [name for name in ("ada", "bob", "eve", "dan", "kim") if users.get(name)] == [
        "ada", "dan", "kim"
    ]  # fmt: skip


def test_a_guest_is_merged_whole() -> None:
    mine = [event("", "ada", item, time=time, type="view") for item, time in (("a", 1), ("c", 3))]
    theirs = event("", "guest", "b", time=2.0, type="view")
    users = told([theirs, *mine, event("", "guest", "x", type="dislike")])
    users.saw("guest", "r", page(answer("r", "guest", "a")))
    users.merge("guest", "ada")
    ada = users.get("ada")
    assert ada is not None
    assert (ada.items, [*ada.disliked], [*ada.shown]) == (["a", "b", "c"], ["x"], ["r"])
    assert users.get("guest") is None
    users.merge("ada", "ada")
    assert users.get("ada") is ada


def test_a_guest_s_steps_are_where_their_times_are_though_the_user_went_back_to_an_item() -> None:
    theirs = [event("", "guest", item, time=t, type="view") for item, t in (("a", 1), ("b", 2))]
    users = told([*theirs, event("", "ada", "a", time=3.0, type="view")])
    users.merge("guest", "ada")
    ada = users.get("ada")
    assert ada is not None
    assert (ada.items, [*ada.times]) == (["a", "b", "a"], [1.0, 2.0, 3.0])


def test_whoever_is_only_shown_something_drives_out_nobody_who_did_something() -> None:
    users = told([event("", name, type="view") for name in ("ada", "bob")], most_users=2)
    for number in range(5):
        users.saw(f"visitor-{number}", "r", page(answer("r", f"visitor-{number}", "a")))
    assert [bool(users.get(name)) for name in ("ada", "bob")] == [True, True]
    assert [bool(users.get(f"visitor-{n}")) for n in range(5)] == [False] * 3 + [True] * 2
    users.note(event("", "visitor-4", type="view"))
    visitor = users.get("visitor-4")
    assert visitor is not None
    assert (visitor.items, [*visitor.shown]) == (["item"], ["r"])
