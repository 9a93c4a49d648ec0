"""The page's files: read once, named by what is in them, packed where that pays.

All lie under one path that their content names, so that a browser keeps them for ever, and a module
finds those beside it. The shell alone is asked for each time; it names that path.
"""

import gzip
import hashlib
from html import escape
from pathlib import Path
from typing import NamedTuple

STATIC = Path(__file__).with_name("static")
SHELL = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_PAYS = 0.9  # packed, it is smaller than so much of itself


class File(NamedTuple):
    """One file. packed: by gzip, None where that does not pay."""

    type: str
    content: bytes
    packed: bytes | None
    etag: str


class PageFiles:
    """The shell, and what it loads, under ``page/VERSION/``."""

    def __init__(self, folder: Path = STATIC) -> None:
        read = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self.shell = read.pop(SHELL).decode()
        everything = b"".join(name.encode() + content for name, content in read.items())
        self.version = _digest(everything)
        self.files = {name: packed(name, content) for name, content in read.items()}

    def shell_under(self, root: str) -> File:
        """The shell of a service that is found under this prefix."""
        modules = "\n".join(
            f'<link rel="modulepreload" href="{{{{files}}}}/{name}">'
            for name in self.files
            if name.endswith(".js")
        )
        path = escape(f"{root}/page/{self.version}")
        html = self.shell.replace("{{modules}}", modules).replace("{{files}}", path)
        return packed(SHELL, html.encode())


def packed(name: str, content: bytes) -> File:
    """A file as it is served."""
    small = gzip.compress(content, mtime=0)
    pays = len(small) < _PAYS * len(content)
    return File(
        _TYPES[Path(name).suffix], content, small if pays else None, f'"{_digest(content)}"'
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
