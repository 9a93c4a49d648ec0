"""A simulated shop: made up from a seed, so the truth that learning should recover is known.

Items belong to latent groups, which show in their words and in the colour and form of their
picture. Users have tastes over groups; after an item of group g the next one is often of the
group that follows g. Some items have no picture, some no text, some are never bought.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WORDS = (
    ("espresso", "roast", "bean", "barista", "crema", "grinder"),
    ("trail", "boot", "hiking", "summit", "gravel", "waterproof"),
    ("novel", "chapter", "mystery", "paperback", "detective", "plot"),
    ("guitar", "string", "chord", "acoustic", "fret", "melody"),
    ("lipstick", "shimmer", "nail", "gloss", "velvet", "blush"),
    ("puzzle", "dice", "board", "card", "tile", "strategy"),
    ("drill", "screw", "timber", "hammer", "bolt", "saw"),
    ("orchid", "soil", "seed", "garden", "fern", "watering"),
)
COLOURS = (
    *((110, 60, 30), (60, 120, 60), (40, 60, 150), (200, 140, 40)),
    *((210, 60, 120), (120, 60, 180), (120, 120, 120), (60, 190, 160)),
)


@dataclass(frozen=True)
class Shop:
    """The simulated shop's files, and the truth behind them."""

    folder: Path
    item_ids: tuple[str, ...]
    group_of_item: NDArray[np.int64]  # (items,)
    following: NDArray[np.int64]  # (groups,): the group that tends to come next
    taste_of_user: NDArray[np.float64]  # (users, groups), rows sum to 1
    histories: tuple[tuple[int, ...], ...]  # a user's items, oldest first, as rows of item_ids
    without_picture: frozenset[str]
    without_text: frozenset[str]
    never_bought: frozenset[str]

    @property
    def interactions(self) -> Path:
        """user_id, item_id, timestamp, rating."""
        return self.folder / "interactions.csv"

    @property
    def items(self) -> Path:
        """item_id, title, description, image_path; pictures lie in ``pictures/``."""
        return self.folder / "items.csv"


def simulate(
    folder: Path,
    *,
    users: int = 300,
    items: int = 120,
    groups: int = 6,
    length: tuple[int, int] = (6, 20),
    follow: float = 0.7,
    seed: int = 7,
) -> Shop:
    """Make up a shop and write its files. ``follow``: chance that the next item's group follows."""
    assert 2 <= groups <= len(WORDS)
    random = np.random.default_rng(seed)
    ids = tuple(f"item-{number:04}" for number in range(items))
    group = np.arange(items) % groups
    unsold = frozenset(random.choice(items, max(1, items // 20), replace=False).tolist())
    following = np.roll(np.arange(groups), -1)
    taste = random.dirichlet(np.full(groups, 0.4), users)
    shelves = [_shelf(group, g, unsold, random) for g in range(groups)]
    histories = tuple(
        _history(taste[user], following, shelves, follow, int(random.integers(*length)), random)
        for user in range(users)
    )
    pictureless, textless = (
        frozenset(ids[at] for at in random.choice(items, max(1, items // 12), replace=False))
        for _ in range(2)
    )
    shop = Shop(
        folder=folder,
        item_ids=ids,
        group_of_item=group,
        following=following,
        taste_of_user=taste,
        histories=histories,
        without_picture=pictureless,
        without_text=textless,
        never_bought=frozenset(ids) - {ids[item] for history in histories for item in history},
    )
    _write_interactions(shop, random)
    _write_items(shop, random)
    return shop


def _shelf(
    group: NDArray[np.int64], wanted: int, unsold: frozenset[int], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A group's items that sell, and how well: skewed, as in real shops."""
    members = np.array([at for at in np.flatnonzero(group == wanted) if at not in unsold])
    weight = 1 / (1 + random.permutation(len(members)))
    return members, weight / weight.sum()


def _history(
    taste: NDArray[np.float64],
    following: NDArray[np.int64],
    shelves: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
    follow: float,
    length: int,
    random: np.random.Generator,
) -> tuple[int, ...]:
    bought: list[int] = []
    group = int(random.choice(len(taste), p=taste))
    while len(bought) < length:
        members, weight = shelves[group]
        bought.append(int(random.choice(members, p=weight)))
        follows = random.random() < follow
        group = int(following[group]) if follows else int(random.choice(len(taste), p=taste))
    return tuple(bought)


def _write_interactions(shop: Shop, random: np.random.Generator) -> None:
    """In time order over all users, as a log grows."""
    rows = []
    for user, history in enumerate(shop.histories):
        start = 1_700_000_000 + int(random.integers(0, 10**6))
        steps = np.cumsum(random.integers(60, 86_400, len(history)))
        group = shop.group_of_item[list(history)]
        liked = 3 + 2 * (shop.taste_of_user[user][group] > 1 / len(shop.following))
        rows += [
            (start + int(step), f"user-{user:04}", shop.item_ids[item], int(rating))
            for step, item, rating in zip(steps, history, liked, strict=True)
        ]
    shop.folder.mkdir(parents=True, exist_ok=True)
    with shop.interactions.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("user_id", "item_id", "timestamp", "rating"))
        table.writerows((user, item, time, rating) for time, user, item, rating in sorted(rows))


def _write_items(shop: Shop, random: np.random.Generator) -> None:
    (shop.folder / "pictures").mkdir(exist_ok=True)
    with shop.items.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("item_id", "title", "description", "image_path"))
        for item_id, group in zip(shop.item_ids, shop.group_of_item.tolist(), strict=True):
            words = random.permutation(WORDS[group]).tolist()
            picture = f"pictures/{item_id}.png"
            if item_id not in shop.without_picture:
                draw_picture(group, random).save(shop.folder / picture)
            has_text = item_id not in shop.without_text
            title = f"{words[0]} {words[1]}".title() if has_text else ""
            text = f"A {words[2]} with {words[3]}, {words[4]} and {words[5]}." if has_text else ""
            table.writerow((item_id, title, text, picture))


def draw_picture(group: int, random: np.random.Generator, size: int = 64) -> Image.Image:
    """The group's colour, a little off, and its form: a polygon with group + 3 corners."""
    shade = np.clip(np.array(COLOURS[group]) + random.integers(-20, 21, 3), 0, 255)
    image = Image.new("RGB", (size, size), (245, 245, 245))
    radius = size * random.uniform(0.3, 0.42)
    turn = random.uniform(0, 360)
    colour = (int(shade[0]), int(shade[1]), int(shade[2]))
    circle = (size / 2, size / 2, radius)
    ImageDraw.Draw(image).regular_polygon(circle, group + 3, rotation=turn, fill=colour)
    return image
