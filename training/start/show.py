"""What was guessed, and what can be set, on a terminal."""

from collections.abc import Iterator
from itertools import groupby

from rich.markup import escape
from rich.table import Table

from training.settings import RESEARCH, Setting
from training.start.roles import Guess


def guessed(log: Guess, catalogue: Guess | None) -> Table:
    """Each role with its column and a value of that."""
    table = Table(title="A look at your files")
    table.add_column("setting", no_wrap=True)
    table.add_column("guessed", overflow="fold")
    table.add_column("such as", overflow="fold")
    for section, guess in (("interactions", log), ("items", catalogue)):
        if guess is None:
            continue
        table.add_row(f"{section}.format", guess.look.format, escape(guess.look.path.name))
        for role, columns in guess.columns.items():
            names = [columns] if isinstance(columns, str) else columns
            example = guess.look.example(names[0])
            table.add_row(f"{section}.columns.{role}", *map(escape, (", ".join(names), example)))
        if guess.doubt is None and guess.time_formats not in ((), ("auto",)):
            table.add_row(f"{section}.time_format", escape(guess.time_formats[0]), "")
        if guess.image_template:
            table.add_row(f"{section}.image_template", escape(guess.image_template), "")
    return table


def every(settings: list[Setting]) -> Iterator[Table]:
    """A table a section."""
    for section, inside in groupby(settings, lambda setting: setting.section):
        title = f"[{section}]" if section else "top of the file"
        note = ": for ablations, no user needs it" if section == RESEARCH else ""
        table = Table("setting", "type", "default", "meaning", title=escape(title + note))
        table.title_justify = "left"
        for setting in inside:
            name = setting.name.removeprefix(f"{section}.")
            row = (name, setting.type, setting.default, setting.meaning)
            table.add_row(*map(escape, row))
        yield table
