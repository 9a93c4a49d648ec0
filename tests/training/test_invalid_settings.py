"""Whatever is invalid is refused when the file is read, with the file and the field."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.cli import app
from training.config import load
from training.errors import UserError

HEAD = 'name = "x"\noutput = "out"\n{top}\n[interactions]\npath = "log.csv"\n'
# Of every bound one value beyond it; the first seven passed once, and ended in a traceback.
INVALID = [
    ("fit.heads", "3"),
    ("fit.width", "3000"),
    ("fit.blocks", "65"),
    ("fit.max_history", "5000"),
    ("fit.buckets", "1000"),
    ("fit.towers", "[[]]"),
    ("fit.towers", '[["behaviour", "id"]]'),
    ("fit.towers", '[["id", "id"]]'),
    ("fit.towers", "[]"),
    ("fit.towers", '[["ids"]]'),
    ("fit.towers", str([["id"]] * 17)),
    ("fit.width", "3"),
    ("fit.heads", "0"),
    ("fit.heads", "65"),
    ("fit.blocks", "0"),
    ("fit.max_history", "0"),
    ("fit.buckets", "3"),
    ("fit.dropout", "1.0"),
    ("fit.dropout", "-0.1"),
    ("fit.id_dropout", "1.0"),
    ("fit.behaviour_weight", "0.0"),
    ("fit.behaviour_weight", "inf"),
    ("fit.negatives", "-1"),
    ("fit.epochs", "0"),
    ("fit.patience", "0"),
    ("fit.batch_tokens", "0"),
    ("fit.learning_rate", "0.0"),
    ("fit.learning_rate", "nan"),
    ("fit.weight_decay", "-1.0"),
    ("fit.averaging", "1.0"),
    ("fit.borrowing", "[]"),
    ("fit.borrowing", "[-0.5]"),
    ("fit.borrowing", "[inf]"),
    ("fit.accelerator", '"tpu"'),
    ("fit.precision", '"16"'),
    ("fit.reweighting", '"multiplicative"'),
    ("quantize.levels", "0"),
    ("quantize.levels", "17"),
    ("quantize.codebook_size", "1"),
    ("quantize.codebook_size", "70_000"),
    ("quantize.vector_size", "1"),
    ("quantize.vector_size", "2000"),
    ("quantize.hidden_size", "3"),
    ("quantize.behaviour_size", "1"),
    ("quantize.epochs", "0"),
    ("quantize.batch_size", "1"),
    ("quantize.learning_rate", "inf"),
    ("quantize.commitment", "-1.0"),
    ("quantize.mutual_information", "-1.0"),
    ("quantize.contrast", "-1.0"),
    ("quantize.sequence_contrast", "-1.0"),
    ("quantize.temperature", "0.0"),
    ("evaluate.cutoffs", "[]"),
    ("evaluate.cutoffs", "[0]"),
    ("evaluate.cutoffs", "[-5, 10]"),
    ("evaluate.cutoffs", "[10, 10]"),
    ("evaluate.cutoffs", "[100_000]"),
    ("evaluate.validation_users", "0"),
    ("research.block", '"gpt"'),
    ("research.edges", '"even"'),
    ("research.reweighting", '"off"'),
    ("research.diversity", "-0.1"),
    ("filter.k_core", "-1"),
    ("filter.max_history", "2"),
    ("filter.max_reject_share", "1.5"),
    ("filter.deduplicate", '"some"'),
    ("split.kind", '"random"'),
    ("split.test_share", "0.95"),
    ("encode.words.min_items", "0"),
    ("encode.words.most", "-1"),
    ("encode.text.batch_size", "0"),
    ("interactions.format", '"xml"'),
    ("interactions.separator", '""'),
    ("interactions.separator", "'\"'"),
    ("interactions.time_format", '"%Q"'),
    ("interactions.time_format", '"iso"'),
    ("items.separator", '"\\n"'),
    ("encode.scent", '{ vectors = "scent.npy" }'),
    ("encode.text", '{ vectors = "text.safetensors" }'),
    ("encode.text", '{ vectors = "text.csv" }'),
    ("split.test_from", "5"),
    ("items.image_template", '"posters/all.jpg"'),
    ("items.separator", '""'),
    ("seed", "-1"),
    ("seed", "5_000_000_000"),
    ("threads", "0"),
    ("loggers", '["wandb"]'),
    ("loggers", '["no.such.Logger"]'),
    ("loggers", '["lightning.pytorch.loggers.NoSuch"]'),
]


@pytest.mark.parametrize(("field", "value"), INVALID)
def test_a_value_out_of_bounds_is_refused_with_file_and_field(
    field: str, value: str, tmp_path: Path
) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(setting(field, value))
    with pytest.raises(UserError) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert f"\n  {field}" in str(refused.value)


@pytest.mark.parametrize("field", ["fit.block", "fit.edges", "quantize.shared_codebook"])
def test_a_switch_of_ablations_is_no_setting_of_a_users(field: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(setting(field, '"ligr"'))
    with pytest.raises(UserError, match=rf"{field}: Extra inputs are not permitted"):
        load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("evaluate.cutoffs", "[5, 20]"),
        ("interactions.time_format", '"%d/%m/%Y"'),
        ("encode.scent", '{ vectors = "scent.parquet" }'),
        ("fit.heads", "64"),
        ("fit.reweighting", "false"),
        ("research.reweighting", '"multiplicative"'),
        ("loggers", '["lightning.pytorch.loggers.CSVLogger"]'),
    ],
)
def test_what_is_within_bounds_is_taken(field: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(setting(field, value))
    load(path)


def test_faults_of_a_file_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(setting("fit.heads", "3") + "[quantize]\nlevels = 0\n")
    with pytest.raises(UserError, match=r"(?s)quantize\.levels: .*fit\.heads: width 64 is not a"):
        load(path)


def setting(field: str, value: str) -> str:
    """A file in which nothing but this setting is out of the ordinary."""
    section, _, name = field.rpartition(".")
    if not section:
        return HEAD.format(top=f"{name} = {value}")
    head = HEAD.format(top="")
    line = f"{name} = {value}\n"
    if section == "interactions":
        return head + line
    return f"{head}[{section}]\n" + ('path = "items.csv"\n' if section == "items" else "") + line


def test_nothing_runs_of_an_invalid_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(setting("fit.heads", "3"))
    done = CliRunner().invoke(app, ["run", str(path)])
    assert isinstance(done.exception, UserError)
    assert [file.name for file in tmp_path.iterdir()] == ["shop.toml"]
