from pathlib import Path

import pytest

from training.config import load
from training.errors import UserError

GOOD = 'name = "x"\noutput = "out"\n[interactions]\npath = "log.csv"\n'


def write(directory: Path, content: str) -> Path:
    path = directory / "run.toml"
    path.write_text(content)
    return path


def test_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert config.output == tmp_path / "out"
    assert config.interactions.path == tmp_path / "log.csv"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (GOOD + "[fit]\nepochs = 0\n", r"fit\.epochs: .*greater than or equal to 1"),
        (GOOD + "[fit]\nepoch = 3\n", r"fit\.epoch: Extra inputs"),
        (GOOD.replace('name = "x"\n', ""), "name: Field required"),
        (GOOD.replace('"x"', '"a/b"'), "name: String should match"),
        (GOOD + "[split]\nvalidation_share = 0.6\ntest_share = 0.5\n", "nothing to train on"),
        (
            'recommend = "all"\n' + GOOD + "[fit]\nmask_seen = true\n",
            r"mask_seen needs recommend",
        ),
        (GOOD + "[encode.shape]\n", r"encode\.shape\.vectors: required"),
        (GOOD + "[encode.shape]\nvector = 'a.npy'\n", r"encode\.shape\.vector: Extra inputs"),
        (GOOD + "[encode.behaviour]\nvectors = 'a.parquet'\n", r"encode\.behaviour: .*the log"),
        (GOOD + "[encode.'../x']\nvectors = 'a.parquet'\n", r"encode\.\.\./x: no name"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_fault_is_named_with_file_and_field(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(UserError, match=rf"(?s)run\.toml.*{complaint}"):
        load(write(tmp_path, content))


def test_a_table_of_any_name_is_a_modality(tmp_path: Path) -> None:
    own = "[encode.type]\nvectors = 'own.npy'\nids = 'own.txt'\n"
    text = f"{own}[encode.colour]\nvectors = 'c.parquet'\n"
    found = load(write(tmp_path, GOOD + text)).encode.modalities()
    assert list(found) == ["text", "image", "colour", "type"]
    assert found["type"].vectors == tmp_path / "own.npy"  # its paths start there too


def test_settings_without_further_modalities_are_stored_as_ever(tmp_path: Path) -> None:
    """Results are found again by a hash of these fields (benchmarks/accuracy/jobs.py)."""
    stored = load(write(tmp_path, GOOD)).encode.model_dump()
    assert list(stored) == ["text", "image", "words", "cache"]
    assert list(stored["text"]) == ["encoder", "vectors", "ids", "batch_size"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml cannot be read"):
        load(tmp_path / "none.toml")
