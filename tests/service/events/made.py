"""Records to write in tests."""

from typing import Any

from service.events.record import Event, Shown

NOON = 1_700_000_000.0  # 2023-11-14, 22:13 in UTC


def event(name: str, user_id: str = "ada", item_id: str = "item", **more: Any) -> Event:
    told: dict[str, Any] = {"type": "click", "time": NOON} | more
    return Event(id=name, user_id=user_id, item_id=item_id, **told)


def answer(name: str, user_id: str | None = "ada", *items: str, **more: Any) -> Shown:
    told: dict[str, Any] = {"time": NOON} | more
    return Shown(name, [*items], user_id=user_id, **told)
