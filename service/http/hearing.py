"""What takes in what users do, wired."""

from collections.abc import Callable
from functools import partial

from models.contract.live_counts import PAIRS, LiveTransitions
from service.events import trimmed
from service.events.event_log import open_events
from service.events.feed import Feed
from service.events.outcomes import Counting, Outcomes
from service.events.record import Split
from service.events.storekeeper import Storekeeper
from service.events.storing import Storing
from service.events.taking import Events
from service.events.trend import MOST, Groups, Trend
from service.events.users import Users
from service.log.appender import Appender
from service.log.open_log import events_folder
from service.metrics import Metrics
from service.settings import Settings

STEPS = 200  # of a history, kept of each user: models look at fewer


def make_events(settings: Settings, metrics: Metrics, split: Callable[[], Split | None]) -> Events:
    """What takes in what users do, and knows it. split: who answers now."""
    users = Users(settings.history_types, STEPS, settings.max_users)
    folder = events_folder(settings)
    storing = Storing(
        folder=folder,
        log_url=settings.log_url and str(settings.log_url),
        kafka=settings.kafka,
        kafka_options=settings.kafka_options,
        every=settings.store_every,
        keep=settings.live_events,
        days=settings.store_days,
        most_bytes=settings.store_bytes,
        counting=counting(settings),
    )
    outcomes = None if storing.counting is None else Outcomes(storing.counting)
    feed = Feed(users, metrics, outcomes=outcomes, trimmed=partial(trimmed.read, folder))
    if settings.live_memory:
        feed.transitions = LiveTransitions(PAIRS, settings.live_half_life)
        feed.trend = Trend(MOST, settings.live_half_life)
        feed.groups = Groups(settings.live_half_life)
    return Events(
        Appender(open_events(storing)),
        feed,
        Storekeeper(storing, feed, metrics) if settings.store_every else None,
        metrics,
        settings.impressions,
        split,
    )


def counting(settings: Settings) -> Counting | None:
    """How what came of what was shown is counted; None: it is not."""
    if not settings.outcome_hours:
        return None
    return Counting(
        settings.click_types, settings.conversion_types, settings.outcome_hours, settings.max_users
    )
