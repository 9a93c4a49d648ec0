"""Counts that fade: what is counted now weighs more, so that nothing counted before is touched."""

_LATEST = 1000.0  # half-lives: floating point ends soon after


class Fading:
    """half_life: seconds in which a count halves."""

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self.now = 0.0  # of the latest event
        self._began: float | None = None

    def weight(self, time: float) -> float:
        """Of an event, beside others of any time."""
        if self._began is None:
            self._began = time
        self.now = max(self.now, time)
        return self._weight(time)

    @property
    def whole(self) -> float:
        """What an event of now weighs: counts are told in it."""
        return self._weight(self.now)

    def _weight(self, time: float) -> float:
        began = time if self._began is None else self._began
        return float(2.0 ** min((time - began) / self.half_life, _LATEST))
