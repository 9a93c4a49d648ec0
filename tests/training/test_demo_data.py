"""The demo's data, without the network: what is fetched is checked, and taken out whole."""

import hashlib
import io
import urllib.request
import zipfile
from pathlib import Path

import pytest

from training import demo_data
from training.errors import UserError


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as files:
        files.writestr("ml-100k/u.data", "1\t2\t3\t4\n")
        files.writestr("ml-100k/u.item", "2|Title\n")
    return content.getvalue()


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(content))


def test_the_official_archive_is_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, archive())
    monkeypatch.setattr(demo_data, "ARCHIVE_MD5", hashlib.md5(archive()).hexdigest())
    demo_data.fetch_archive(tmp_path / "new")
    assert (tmp_path / "new/u.data").read_text() == "1\t2\t3\t4\n"


def test_an_archive_that_is_not_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, archive())
    with pytest.raises(UserError, match="MD5 differs"):
        demo_data.fetch_archive(tmp_path / "new")
    assert not (tmp_path / "new").exists()
