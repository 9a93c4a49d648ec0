"""The files behind a path: one file, or a folder of exports, a file a day, that are read as one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from training.data.formats import MOVIELENS, Role, format_by_name
from training.data.lines import is_empty
from training.errors import UserError

EXPORTS = ("parquet", "csv", "tsv", "jsonl")


class Found(NamedTuple):
    """The files behind a path, in the order of their names."""

    files: list[Path]
    empty: tuple[Path, ...] = ()  # quiet days, or exports that failed: without a header even


def find_files(path: Path, wanted: str, role: Role) -> Found:
    """A file itself, or what the folder holds.

    Below a folder every file counts whose name tells one of ``EXPORTS``; of a data set as it was
    unpacked, MovieLens or RecBole, the one file of this role. Raises UserError where there is none,
    or the files are of several formats.
    """
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"{role}.path: {path} does not exist")
        return Found([path])
    if unpacked := _unpacked(path, wanted, role):
        return Found([unpacked])
    exports = _exports(path)
    if wanted != "auto":
        exports = {name: files for name, files in exports.items() if name == wanted}
    if not exports:
        raise UserError(f"{role}.path: {path} is a folder without {_what_was_looked_for(wanted)}")
    if len(exports) > 1:
        (one, (first, *_)), (other, (second, *_)) = islice(exports.items(), 2)
        raise UserError(
            f"{role}.path: {path} holds files of several formats: {first.relative_to(path)} is "
            f"{one}, {second.relative_to(path)} is {other}. Set {role}.format to the one to read"
        )
    (files,) = exports.values()
    empty = tuple(file for file in files if is_empty(file))
    if len(empty) == len(files):
        raise UserError(f"{role}.path: {path}: {files[0].name} is empty, and so are all others")
    return Found([file for file in files if file not in {*empty}], empty)


def check_alike(section: str, files: Sequence[tuple[Path, Mapping[str, object]]]) -> None:
    """Raise UserError at the first file in which a role is in another column than in the first.

    ``files``: the path of each, and the column of each role.
    """
    if not files:
        return
    (first, wanted), *others = files
    for path, columns in others:
        for role, column in columns.items():
            if column != wanted[role]:
                raise UserError(
                    f"{section}.path: {path} differs in its columns from {first}: the {role} is "
                    f"{_place(column)} here, and {_place(wanted[role])} there"
                )


def _unpacked(path: Path, wanted: str, role: Role) -> Path | None:
    names = MOVIELENS[::2] if role == "interactions" else MOVIELENS[1::2]
    patterns = {
        "movielens": names,
        "recbole": ("*.inter" if role == "interactions" else "*.item",),
    }
    for name in patterns if wanted == "auto" else {wanted} & patterns.keys():
        for pattern in patterns[name]:
            if found := sorted(file for file in path.glob(pattern) if _is_data(file, path)):
                return found[0]
    return None


def _exports(path: Path) -> dict[str, list[Path]]:
    """Files by format."""
    found = defaultdict(list)
    for file in sorted(path.rglob("*")):
        name = format_by_name(file)
        if name in EXPORTS and _is_data(file, path):
            found[name].append(file)
    return dict(found)


def _is_data(file: Path, folder: Path) -> bool:
    """Not what other tools leave about: ``_temporary/``, ``.part.parquet``."""
    hidden = any(part.startswith(("_", ".")) for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden


def _what_was_looked_for(wanted: str) -> str:
    if wanted == "auto":
        names = "*.parquet, *.csv, *.tsv, *.jsonl (.gz too), MovieLens or RecBole files"
    else:
        names = f"{wanted} files"
    return (
        f"{names}; names that start with _ or . do not count, other formats are given as one file"
    )


def _place(column: object) -> str:
    """A column, several, or none."""
    names = column if isinstance(column, list) else [column] if column else []
    return f"in {', '.join(map(repr, names))}" if names else "nowhere"
