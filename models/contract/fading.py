"""Counts that fade: what is counted now weighs more, so that nothing counted before is touched."""

from collections.abc import Callable

_FAR = 500.0  # half-lives: floating point ends at twice as many


class Fading:
    """half_life: seconds in which a count halves. scale: multiplies all that was counted; called
    once in a long time, for weights would else grow for ever.
    """

    def __init__(self, half_life: float, scale: Callable[[float], None]) -> None:
        self.half_life = half_life
        self.now = 0.0  # of the latest event
        self._scale = scale
        self._began: float | None = None

    def weight(self, time: float) -> float:
        """The weight of an event, to be compared with those of any other time."""
        if self._began is None:
            self._began = time
        self.now = max(self.now, time)
        if self.now - self._began > _FAR * self.half_life:
            self._begin_anew()
        return self._weight(time)

    @property
    def whole(self) -> float:
        """What an event of now weighs: counts are told in it."""
        return self._weight(self.now)

    def fade_by(self, half_life: float) -> None:
        """Change the half-life from now on; what was counted keeps what it is worth now."""
        if half_life != self.half_life:
            self._begin_anew()
            self.half_life = half_life

    def _begin_anew(self) -> None:
        self._scale(1 / self.whole if self._half_lives(self.now) <= 2 * _FAR else 0.0)
        self._began = self.now

    def _weight(self, time: float) -> float:
        return float(2.0 ** self._half_lives(time))

    def _half_lives(self, time: float) -> float:
        return 0.0 if self._began is None else (time - self._began) / self.half_life
