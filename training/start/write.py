"""A commented TOML file from what was guessed."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from training.errors import UserError
from training.settings import Setting, settings, toml
from training.start.log import maybe_types, types
from training.start.roles import Guess

# What users change first; ``bbqrec-train settings`` has the rest.
_OFTEN = (
    *("filter.k_core", "filter.deduplicate", "split.kind"),
    *("fit.max_history", "fit.mask_seen", "fit.epochs", "fit.batch_tokens"),
    *("fit.accelerator", "fit.precision", "fit.new_items_cost"),
    *("evaluate.cutoffs", "evaluate.cold_share"),
)
# What shops mostly choose; of a name the first word that it holds decides.
_WEIGHTS = {
    "dislike": -1, "remove": -1, "impression": 0, "purchase": 4, "buy": 4, "order": 4,
    "transaction": 4, "cart": 2, "basket": 2, "like": 2, "fav": 2,
}  # fmt: skip
# Of what the service hears, unless told otherwise, what a model learns from.
_HEARD = ["purchase", "cart", "like", "click", "view", "dislike"]
_ANY_FORMAT = 'time_format = "%d.%m.%Y %H:%M"'  # for want of any: to be changed
_NO_ITEMS = """\
# [items]  # without it only behaviour is learned from
# path = "catalogue.csv"
# columns = { item = "sku", title = "name", text = ["name", "description"] }
"""


def write(path: Path, log: Guess, catalogue: Guess | None) -> None:
    """Write the file. Raises UserError where there is one already."""
    parts = [
        _head(path.name, _name(path)),
        _section("interactions", log, path),
        _events(types(log.look, log.columns)),
        _section("items", catalogue, path) if catalogue else _NO_ITEMS,
        # A view that ends in a purchase is one step of a history, as it is in the service.
        *_usual({"filter.deduplicate": "consecutive"} if "type" in log.columns else {}),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(part for part in parts if part))
    except FileExistsError as error:
        raise UserError(f"{path} exists, and is not overwritten") from error


def _name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem)[:64] or "my-shop"


def _head(file: str, name: str) -> str:
    return f"""\
# Written by `bbqrec-train init` from a look at your files: what it guessed is yours to change.
# `bbqrec-train settings` lists every setting; `bbqrec-train run {file}` runs them.
# Paths are relative to this file's folder.
name = {toml(name)}
output = {toml(f"artifacts/{name}")}  # what every stage writes, and at last the bundle
# recommend = "all"  # people buy the same again, and are to be shown it; `prepare` says how many do
"""


def _events(names: list[str]) -> str:
    """Of the log's types, and of the service's, that ``stored`` brings: those go by other names."""
    heard = [name for name in _HEARD if name not in names]
    stored = "# with `stored`: what the service calls them, so that what it hears counts, too"
    return "\n".join(
        [
            "# [events]  # what each type weighs in training; what is not named is left out",
            *map(_weighed, names),
            *([stored] if names and heard else []),
            *map(_weighed, heard),
            "",
        ]
    )


def _weighed(name: str) -> str:
    return f"# {toml(name)} = {_weight(name)}"


def _weight(name: str) -> int:
    return next((weight for word, weight in _WEIGHTS.items() if word in name.lower()), 1)


def _section(section: str, guess: Guess, path: Path) -> str:
    found = guess.look
    where = Path(os.path.relpath(found.path.resolve(), path.resolve().parent)).as_posix()
    lines = [f"[{section}]", f"path = {toml(where)}", f"format = {toml(found.format)}"]
    if found.separator:
        lines.append(f"separator = {toml(found.separator)}")
    for role, columns in guess.columns.items():
        example = "" if isinstance(columns, list) else f"  # such as {toml(found.example(columns))}"
        lines.append(f"columns.{role} = {toml(columns)}{example}")
    if guess.image_template:
        lines.append(f"image_template = {toml(guess.image_template)}")
    lines += _time(guess)
    if "rating" in guess.columns:
        lines.append("# min_rating = 4  # lower ratings are no interest; unset: all count")
    if section == "interactions":
        lines += _stored(path, guess)
    if section == "items":
        lines.append("keep_unseen = true  # recommend, too, what nobody has bought yet")
    return "\n".join([*lines, ""])


def _time(guess: Guess) -> list[str]:
    """How times are written, where that is to be said; what is in doubt is left to the user."""
    formats = [f"time_format = {toml(each)}" for each in guess.time_formats if each != "auto"]
    if guess.doubt is None:
        return formats
    if "time" not in guess.columns:
        return [f"# {guess.doubt}", '# columns.time = "date"']
    return [f"# {guess.doubt}", *(f"# {each}" for each in formats or [_ANY_FORMAT])]


def _stored(path: Path, guess: Guess) -> list[str]:
    """What comes in once it serves, beside the log that there is."""
    lines = [] if "type" in guess.columns else ['# type = "purchase"  # of all of it, for [events]']
    for name in maybe_types(guess.look, guess.columns):
        values = ", ".join(" ".join(each.split()) for each in types(guess.look, {"type": name}))
        lines.append(f"# columns.type = {toml(name)}  # if it says what was done: {values}")
    folder = toml(f"artifacts/{_name(path)}/events/done")
    return [*lines, f"# stored = {folder}  # what users do once it serves; it wants [events]"]


def _usual(fitting: Mapping[str, object]) -> list[str]:
    """Settings that stand at their defaults, as comments, by section, but for those that fit."""
    sections: dict[str, list[Setting]] = {}
    for setting in settings():
        if setting.name in _OFTEN:
            sections.setdefault(setting.section, []).append(setting)
    return [
        "\n".join([f"[{section}]", *(_line(each, fitting.get(each.name)) for each in inside), ""])
        for section, inside in sections.items()
    ]


def _line(setting: Setting, value: object) -> str:
    name = setting.name.removeprefix(f"{setting.section}.")
    given = f"# {name} = {setting.default}" if value is None else f"{name} = {toml(value)}"
    return f"{given}  # {setting.meaning}"
