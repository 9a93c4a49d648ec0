"""Rules: what a shop wants of an answer, beyond what may be in it.

They count in this order. What may be returned at all is settled before them. Boosts change scores;
slots are then filled from the first to the last, each by the first of these that has an item for
it: a pin, exploration, a share that would be missed, the best score. What ``diversify`` forbids is
passed over by all but pins.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from service.catalogue.filters import Filter


class Boost(NamedTuple):
    """Items that meet a filter and are among these ids, where either is given.

    factor: each is so many times as likely. share: of the first n of an answer, n * share, rounded,
    are of these, for every n and as far as there are any.
    """

    filter: Filter | None = None
    item_ids: Sequence[str] | None = None
    factor: float = 1.0
    share: float = 0.0


class Diversify(NamedTuple):
    """At most ``at_most`` items of one value of the attribute ``by``, None: any number.

    strength: how much it counts, from 0 to 1, that an item is unlike those before it (maximal
    marginal relevance, Carbonell and Goldstein, SIGIR 1998: their 1 - lambda).
    """

    by: str | None = None
    at_most: int = 1
    strength: float = 0.0


class Explore(NamedTuple):
    """A share of the slots is for new items, drawn from the best of them.

    max_age: seconds since an item came. by: each alike, or the likelier the less it was used.
    """

    share: float
    max_age: float = math.inf
    by: Literal["random", "uncertainty"] = "random"


class Rank(NamedTuple):
    """These alone, all of them. in_order: they were sent best first, and that counts as much as the
    model (reciprocal rank fusion, Cormack et al., SIGIR 2009).
    """

    item_ids: Sequence[str]
    in_order: bool = False


class Rules(NamedTuple):
    """pins: ids by their position, from 1."""

    boosts: Sequence[Boost] = ()
    pins: Mapping[int, str] = {}
    diversify: Diversify | None = None
    explore: Explore | None = None
    rank: Rank | None = None
