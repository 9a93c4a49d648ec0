"""A text file, plain or gzipped, as numbered records. What cannot be read becomes a reject."""

import ast
import csv
import gzip
import json
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from training.data.rejects import Reason, SourceRejects
from training.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"
BOM = "\ufeff"
RECORD_LINES = 100  # a quoted field that goes on for longer than this was never closed
csv.field_size_limit(2**31 - 1)  # the default, 128 KiB, is shorter than some descriptions


class Line(NamedTuple):
    """One line of a file; ``number`` starts at 1."""

    number: int
    text: str


class Record(NamedTuple):
    """One parsed row: where it starts, its text, and its fields or its JSON object."""

    line: int
    text: str
    values: Any


def is_gzip(path: Path) -> bool:
    """Whether the content, not the name, says gzip."""
    with opened(path) as file:
        return file.read(2) == GZIP_MAGIC


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read. Raises UserError that names it."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def read_lines(path: Path, encoding: str, rejects: SourceRejects) -> Iterator[Line]:
    """Lines without their ends. Blank ones are skipped, but numbered; tabs are no blanks."""
    for number, raw in enumerate(_raw_lines(path, rejects), start=1):
        try:
            text = raw.decode(encoding).rstrip("\r\n")
        except UnicodeDecodeError:
            excerpt = raw.decode(encoding, "replace").rstrip("\r\n")
            rejects.add(path, number, Reason.BROKEN_UTF8, excerpt)
            continue
        if number == 1:
            text = text.removeprefix(BOM)
        if text.strip(" "):
            yield Line(number, text)


def is_empty(path: Path) -> bool:
    """Whether there is nothing in it, unpacked, but blank lines: not even what cannot be read."""
    broken = SourceRejects.nowhere()
    blank = all(line.strip(b" \r\n") in (b"", BOM.encode()) for line in _raw_lines(path, broken))
    return blank and not broken.counts


def _raw_lines(path: Path, rejects: SourceRejects) -> Iterator[bytes]:
    zipped = is_gzip(path)
    with opened(path) as file:
        if not zipped:
            yield from file
            return
        lines = 0
        stream = gzip.GzipFile(fileobj=file)
        pending = b""
        try:
            # Not line by line: a stream cut short would take the good lines of its buffer along.
            while block := stream.read1(2**16):
                *whole, pending = (pending + block).split(b"\n")
                lines += len(whole)
                yield from whole
        except (EOFError, zlib.error, gzip.BadGzipFile):
            excerpt = pending.decode("utf-8", "replace")
            rejects.add(path, lines + 1, Reason.TRUNCATED_GZIP, excerpt)
            return
        if pending:
            yield pending


def delimited(
    path: Path, lines: Iterator[Line], separator: str, quoted: bool, rejects: SourceRejects
) -> Iterator[Record]:
    """Fields of each row. A quoted field may hold separators and go on over several lines.

    Tab-separated files are often written without quoting: there, quotes that make no sense as
    such are characters like others.
    """
    waiting: deque[Line] = deque()  # taken in search of a closing quote, and given back

    def following() -> Line | None:
        return waiting.popleft() if waiting else next(lines, None)

    while line := following():
        if not quoted or '"' not in line.text:
            yield Record(line.number, line.text, line.text.split(separator))
            continue
        taken = [line]
        fields = _quoted_fields(taken, separator)
        while fields is None and len(taken) < RECORD_LINES and (more := following()):
            taken.append(more)
            if '"' in more.text:
                fields = _quoted_fields(taken, separator)
        if fields:
            yield Record(line.number, line.text, fields)
            continue
        waiting.extendleft(reversed(taken[1:]))
        if separator == "\t":
            yield Record(line.number, line.text, line.text.split(separator))
        else:
            rejects.add(path, line.number, Reason.MALFORMED, line.text)


def _quoted_fields(lines: list[Line], separator: str) -> list[str] | None:
    """The fields of one row; None if a quote is still open, [] if the quotes make no sense."""
    text = "\n".join(line.text for line in lines)
    try:
        return next(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error as error:
        return None if "unexpected end of data" in str(error) else []


def json_objects(path: Path, lines: Iterator[Line], rejects: SourceRejects) -> Iterator[Record]:
    """One object a line; Python literals too, in which Amazon's older metadata is written."""
    for number, text in lines:
        value = parse_object(text)
        if not isinstance(value, dict):
            rejects.add(path, number, Reason.MALFORMED, text)
        elif "\\ud" in text.lower() and _has_half_characters(value):
            rejects.add(path, number, Reason.BROKEN_UTF8, text)
        else:
            yield Record(number, text, value)


def parse_object(text: str) -> object:
    """The value of one line, None if it makes no sense."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text) if text.startswith("{") else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _has_half_characters(value: object) -> bool:
    """Whether an escape such as \\ud83d stands alone: no UTF-8 can say it."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, TypeError):
        return True
    return False


def first_lines(path: Path, count: int, encoding: str = "utf-8") -> list[str]:
    """The first lines that can be read, to recognise a file by."""
    lines = read_lines(path, encoding, SourceRejects.nowhere())
    return [line.text for line in islice(lines, count)]
