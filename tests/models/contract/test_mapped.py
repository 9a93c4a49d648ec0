from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from models.contract.mapped import load_mapped


def test_mapped_arrays_are_those_that_were_saved_and_cannot_be_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    saved: dict[str, NDArray[Any]] = {
        "vectors": random.standard_normal((7, 5)).astype(np.float32),
        "codes": random.integers(0, 9, (7, 3)).astype(np.uint16),
        "extra": np.array([2**32 - 1], np.uint32),
        "rows": np.arange(3, dtype=np.int64),
    }
    save_file(saved, tmp_path / "arrays")
    found = load_mapped(tmp_path / "arrays")
    assert found.keys() == saved.keys()
    for name, array in saved.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(ValueError, match="read-only"):
        found["vectors"][0, 0] = 1


def test_nothing_is_read_before_it_is_looked_at(tmp_path: Path) -> None:
    """A file of 256 MiB costs next to no memory."""
    path = tmp_path / "arrays"
    save_file({"vectors": np.zeros((2**20, 64), np.float32)}, path)
    before = _resident()
    found = load_mapped(path)["vectors"]
    assert found[-1, -1] == 0
    assert _resident() - before < 2**25


def _resident() -> int:
    """Bytes of this process alone: mapped pages of a file are the file's, and can be dropped."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(x.split()[1] for x in status.splitlines() if x.startswith("RssAnon")))


def test_a_broken_file_and_a_strange_type_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "arrays"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(SafetensorError):
        load_mapped(path)
    save_file({"vectors": np.zeros(3, np.int8)}, path)
    with pytest.raises(ValueError, match="array vectors is of type I8"):
        load_mapped(path)
