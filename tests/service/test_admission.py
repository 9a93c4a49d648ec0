"""How many requests may be in the house at once."""

from service.admission import Admission


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(
    admission: Admission, clock: Clock, count: int, each: float, idle: float = 0.0, waiting: int = 0
) -> None:
    """One after the other, with pauses between them, while so many wait all the time."""
    for _ in range(waiting):
        admission.begin()
    for _ in range(count):
        admission.begin()
        clock.now += each
        admission.end()
        clock.now += idle
    admission.in_flight -= waiting  # they have gone


def test_as_many_as_are_answered_within_the_longest_wait() -> None:
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    assert admission.most == 4  # nothing is known yet
    answer(admission, clock, 1000, 0.001)
    assert admission.most in range(98, 102)
    for _ in range(admission.most):
        assert not admission.full()
        assert admission.full(coming=admission.most - admission.in_flight)
        admission.begin()
    assert admission.full()


def test_idle_time_says_nothing_of_its_speed() -> None:
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    answer(admission, clock, 1000, 0.001, idle=5.0)
    assert admission.most in range(98, 102)


def test_requests_answered_together_take_a_share_of_the_time_each() -> None:
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    for _ in range(100):
        for _ in range(10):
            admission.begin()
        clock.now += 0.01
        for _ in range(10):
            admission.end()
    assert admission.most in range(90, 112)


def test_a_change_of_speed_is_believed_within_a_second_or_two() -> None:
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    answer(admission, clock, 1000, 0.001)
    answer(admission, clock, 150, 0.01, waiting=1)
    assert admission.most in range(9, 13)
    answer(admission, clock, 1500, 0.001)
    assert admission.most in range(85, 102)


def test_a_calm_load_says_how_fast_it_is_at_least() -> None:
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    answer(admission, clock, 100, 0.01)  # as slowly as they come, perhaps
    assert admission.most in range(9, 12)
    answer(admission, clock, 1500, 0.001)
    assert admission.most in range(90, 102)
    answer(admission, clock, 100, 0.01)
    assert admission.most in range(90, 102)


def test_one_slow_moment_is_believed_in_part() -> None:
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    answer(admission, clock, 1000, 0.001)
    answer(admission, clock, 15, 0.01, waiting=1)  # one measurement, whatever was carried
    assert admission.most in range(24, 31)  # 10, were it believed whole


def test_however_slow_it_is_some_are_let_in_so_that_it_can_get_faster() -> None:
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    answer(admission, clock, 10, 60.0)
    assert admission.most == 4


def test_how_full_it_was_since_it_was_last_asked_is_told_as_a_share() -> None:
    admission = Admission(max_wait=0.1, batch=1, clock=Clock())
    for _ in range(4):
        admission.begin()
    assert admission.full()
    for _ in range(3):
        admission.end()
    assert admission.used() == 1
    assert admission.used() == 0.25  # what is left of it


def test_no_more_than_all_is_used_where_less_may_be_in_flight_than_is() -> None:
    """They were let in when it was fast."""
    clock = Clock()
    admission = Admission(max_wait=0.1, batch=1, clock=clock)
    answer(admission, clock, 1000, 0.001)
    for _ in range(80):
        admission.begin()
    assert 0.5 < admission.used() < 1
    for _ in range(2):
        clock.now += 8
        admission.end()
    assert admission.most == 4
    assert admission.used() == 1
