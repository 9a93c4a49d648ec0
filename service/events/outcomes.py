"""Outcomes: what came of what was shown, by the bundle that answered.

The same in every process that has read the log up to the same place: only what it holds counts, in
its order, by the times that it holds.

A *caller* is a user, or whoever X-Sticky-Key names; who sends neither is a caller of one answer, as
chance chose a bundle for it alone. A caller is observed once in a trial: what came, within a window
from the first answer on, of the answers by the bundle that gave that first one. Counted so, callers
are independent of each other and none is looked at while it still grows, which is what intervals
that may be looked at any time ask for.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from service.events.answers import SLACK, Answer, Answers
from service.events.once import Once
from service.events.record import Erased, Event, Merged, Record, Shown, Split
from service.experiments.sums import Observed
from service.experiments.trial import Trial, Variant
from service.metrics import Counts

_ENDED = 5  # trials that are told of after they have ended
_GRACE = 3600.0  # seconds that an event may take to come here
_USER, _KEY, _ALONE = "u", "k", "a"  # how names of callers begin


@dataclass(slots=True)
class Caller:
    """One who is being observed."""

    model: str
    since: float
    answers: int = 0
    clicked: int = 0
    converted: bool = False
    value: float = 0.0


@dataclass(slots=True)
class Passed:
    """What counts nowhere, by reason.

    unknown: events that name an answer that is not known, or did not show the item. elsewhere: that
    name none, and no answer showed it to the user. late: after the window, or, of a caller who has
    been counted, too late for the sums. crossed: answers to callers whom the other bundle is
    observed for. unobserved: to callers who were too many.
    """

    unknown: int = 0
    elsewhere: int = 0
    late: int = 0
    crossed: int = 0
    unobserved: int = 0


class Counting(NamedTuple):
    """How outcomes are counted.

    clicks, conversions: types of events. hours: that an outcome may come after what it came of, and
    that a caller is observed for. most_callers: observed at a time; when there are so many, new
    ones are not until some have ended, whichever bundle they get.
    """

    clicks: frozenset[str]
    conversions: frozenset[str]
    hours: float
    most_callers: int


class State(BaseModel):
    """All that is known, to go on from. position: of the log, that all up to it is in this."""

    model_config = ConfigDict(
        ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants"
    )

    position: int = 0
    now: float = 0.0  # of the latest answer
    split: Split | None = None
    trial: Trial | None = None  # since that split
    ended: list[Trial] = []
    passed: Passed = Passed()
    answers: dict[str, Answer] = {}
    callers: dict[str, Caller] = {}  # being observed, in the order in which they came
    heard: bytes | None = None  # of callers, in this trial


class Outcomes:
    """Counts records of the log of events, after those that a state has."""

    def __init__(self, counting: Counting, state: State | None = None) -> None:
        self.counting = counting
        self.window = 3600 * counting.hours
        self.resume(state or State())

    def resume(self, state: State) -> None:
        """Go on from there."""
        self.now, self.split, self.trial = state.now, state.split, state.trial
        self.ended, self.passed, self.callers = state.ended, state.passed, state.callers
        self.answers, self.heard = Answers(state.answers), Once(state.heard)

    def state(self, position: int) -> State:
        """To go on from, as of this position of the log."""
        return State.model_construct(
            position=position,
            now=self.now,
            split=self.split,
            trial=self.trial,
            ended=self.ended,
            passed=self.passed,
            answers=self.answers.by_name(),
            callers=self.callers,
            heard=bytes(self.heard.bits),
        )

    def hear(self, record: Record) -> None:
        """The next record of the log, that was not there before."""
        match record:
            case Split():
                self._split(record)
            case Shown():
                self._show(record)
            case Event():
                self._note(record)
            case Erased():
                for answer in self.answers.take(record.user_id):
                    self.callers.pop(answer.caller, None)
                self.callers.pop(_USER + record.user_id, None)
            case Merged():  # they stay two callers: chance chose for each
                self.answers.merge(record.guest_id, record.user_id)

    def counts(self) -> dict[str, Counts]:
        """By role, of all answers in this trial."""
        return {role: _counts(v) for role, v in self.trial.roles().items()} if self.trial else {}

    def _split(self, split: Split) -> None:
        before = self.trial
        if split.alike(self.split):
            return
        if before is not None and before.canary is not None:
            before.until = split.time
            self.ended = [*self.ended, before][-_ENDED:]
        canary = None if split.canary is None else Variant(split.canary, split.share)
        self.trial = Trial(split.time, Variant(split.current, 1 - split.share), canary)
        self.split, self.passed, self.answers = split, Passed(), Answers()
        self.callers, self.heard = {}, Once()

    def _show(self, shown: Shown) -> None:
        variant = self.trial.variant(shown.model) if self.trial else None
        if variant is None or shown.recommendation_id in self.answers:
            return  # a process that has not heard of the change yet
        self._pass(shown.time)
        variant.answers += 1
        variant.shown.add(shown.item_ids)
        items = tuple(shown.item_ids)
        answer = Answer(variant.model, _caller(shown), shown.user_id, items, shown.time)
        answer.counted = self._counts(answer, variant)
        self.answers.put(shown.recommendation_id, answer)

    def _counts(self, answer: Answer, variant: Variant) -> bool:
        """Whether what comes of an answer is one of a caller who is being observed."""
        caller = self.callers.get(answer.caller) or self._meet(answer, variant)
        if caller is None or answer.time > caller.since + self.window:
            return False
        if caller.model != variant.model:
            self.passed.crossed += 1
            return False
        caller.answers += 1
        return True

    def _meet(self, answer: Answer, variant: Variant) -> Caller | None:
        """Somebody new; None for who has been observed, and where too many are."""
        name = answer.caller
        alone = name.startswith(_ALONE)  # those do not come again
        if not alone and name in self.heard:
            return None
        if len(self.callers) >= self.counting.most_callers:
            self.passed.unobserved += 1
            return None
        if not alone:
            self.heard.add(name)
        variant.callers += 1
        caller = self.callers[name] = Caller(variant.model, answer.time)
        return caller

    def _note(self, event: Event) -> None:
        clicks = event.type in self.counting.clicks
        converts = event.type in self.counting.conversions
        if self.trial is None or not (clicks or converts):
            return
        named = event.recommendation_id is not None
        answer = self.answers.named(event) if named else self.answers.before(event)
        variant = self.trial.variant(answer.model) if answer else None
        if answer is None or variant is None:
            self.passed.unknown += named
            self.passed.elsewhere += not named
            return
        if not -SLACK <= event.time - answer.time <= self.window:
            self.passed.late += 1
            return
        first = clicks and not answer.clicked
        value = (event.value or 0.0) if converts else 0.0
        answer.clicked |= first
        variant.clicks += first
        variant.conversions += converts
        variant.value += value
        if answer.counted:
            self._did(self.callers.get(answer.caller), event.time, first, converts, value)

    def _did(
        self, caller: Caller | None, time: float, clicked: bool, converted: bool, value: float
    ) -> None:
        if caller is None:
            self.passed.late += 1
        elif time <= caller.since + self.window:
            caller.clicked += clicked
            caller.converted |= converted
            caller.value += value

    def _pass(self, time: float) -> None:
        """Time goes on: who has been observed for long enough is counted."""
        self.now = max(self.now, time)
        ended = self.now - self.window - _GRACE
        while self.callers:
            name = next(iter(self.callers))
            if self.callers[name].since > ended:
                return
            self._count(self.callers.pop(name))

    def _count(self, caller: Caller) -> None:
        if self.trial is not None and (variant := self.trial.variant(caller.model)) is not None:
            did = Observed(caller.answers, caller.clicked, caller.converted, caller.value)
            self.trial.observe(variant, did, self.now)


def _counts(of: Variant) -> Counts:
    return Counts(of.answers, of.shown.slots, of.clicks, of.conversions, of.value, of.callers)


def _caller(shown: Shown) -> str:
    if shown.user_id is not None:
        return _USER + shown.user_id
    return _KEY + shown.caller if shown.caller else _ALONE + shown.recommendation_id
