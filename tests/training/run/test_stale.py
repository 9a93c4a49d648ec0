"""What makes a stage stale: the code that it runs and the settings that it reads, nothing else."""

import ast
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.simulated_shop import Shop
from tests.training.shop_run import write_config
from training import stage_files
from training.config import RunConfig, load
from training.config.section import Section
from training.run import code
from training.run.pipeline import Pipeline, stage_settings
from training.run.stages import STAGES

ALL = tuple(stage.name for stage in STAGES)
LEARNED = ("fit", "evaluate", "refit", "export")  # what comes of stage fit, itself among them
TOML = 'name = "x"\noutput = "out"\n[interactions]\npath = "log.csv"\n'


def pipeline(config: RunConfig) -> Pipeline:
    return Pipeline(config, STAGES)


def fingerprints(config: RunConfig) -> dict[str, str]:
    found = pipeline(config)
    return {name: found.fingerprint(name) for name in ALL}


def stale(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    return tuple(name for name in ALL if before[name] != after[name])


@pytest.fixture
def read_anew() -> Iterator[None]:
    """Modules are read again, by this test and by whoever comes after it."""
    code.read.cache_clear()
    yield
    code.read.cache_clear()


@pytest.mark.usefixtures("read_anew")
@pytest.mark.parametrize(
    ("module", "first"),
    [
        ("training.data.rules", ALL),
        ("training.encoders.kinds.image", ALL[1:]),  # found by name
        ("training.encoders.efficientnet", ALL[1:]),
        ("models.nets.club", ALL[2:]),
        ("training.fit.borrowing", LEARNED),
        ("models.nets.behaviour_tower", LEARNED),
        ("training.evaluate.baselines", ("evaluate", "export")),
        ("training.export.onnx_ranker", ("export",)),
        ("training.report.charts", ()),  # another look of the report makes nothing anew
        ("training.report.warnings.data", ()),
        ("training.cli", ()),
        ("training.demo_data", ()),
        ("training.config", ()),  # its values count, one by one
        ("training.config.learning", ()),
    ],
)
def test_a_changed_module_reruns_the_stages_that_import_it_and_those_after(
    module: str, first: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(written(tmp_path))
    before = fingerprints(config)
    code.read.cache_clear()
    touch(module, "CHANGED = True", tmp_path, monkeypatch)
    assert stale(before, fingerprints(config)) == first


@pytest.mark.usefixtures("read_anew")
def test_a_comment_or_docstring_reruns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, module = load(written(tmp_path)), "training.data.rules"
    before = fingerprints(config)
    code.read.cache_clear()
    file = code.place(module)
    assert file is not None
    docstring = ast.get_docstring(ast.parse(file.read_text()), clean=False)
    assert docstring
    touch(module, "# a word", tmp_path, monkeypatch, {docstring: "Said otherwise."})
    assert stale(before, fingerprints(config)) == ()


def test_imports_are_followed_wherever_they_stand() -> None:
    """Inside functions too, and through packages; what is not the project's is not ours to hash."""
    found = code.closure("training.run.encode")
    assert {"training.encoders.kinds.text", "training.encoders.named", "training.encoders"} <= found
    assert not any(name.startswith(("torch", "service", "tests")) for name in found)
    with pytest.raises(FileNotFoundError, match=r"tests\.nowhere has no source"):
        code.code_hash("tests.nowhere")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('loggers = ["csv"]', ()),
        ('encode.cache = "elsewhere"', ()),
        ("evaluate.cutoffs = [1, 5]", ("evaluate", "export")),
        ("evaluate.validation_users = 5", LEARNED),
        ('recommend = "all"', ALL),
        ("fit.width = 32", LEARNED),
        ('research.edges = "random"', LEARNED),
        ("research.likeness = false", LEARNED),
        ("fit.refit = false", ("requantize", "refit", "export")),
        ("quantize.epochs = 1", ALL[2:]),
        ("research.diversity = 0.1", ALL[2:]),
        ("encode.words.most = 7", ALL[1:]),
        ("filter.k_core = 3", ALL),
        ("seed = 1", ALL),
    ],
)
def test_a_setting_reruns_the_stages_that_read_it_and_those_after(
    settings: str, expected: tuple[str, ...], tmp_path: Path
) -> None:
    before = fingerprints(load(written(tmp_path)))
    assert stale(before, fingerprints(load(written(tmp_path, settings)))) == expected


@pytest.mark.parametrize("template", ["pictures/{item_id}.jpg", "{item_id}/main.jpg", None])
def test_a_picture_that_comes_or_changes_is_noticed(template: str | None, tmp_path: Path) -> None:
    """And none where the folder has moved along with all that lies in it."""
    name = (template or "of/{item_id}").format(item_id="b")
    named = "image_path" if template is None else "title"
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [f"u{user},{item},{time}\n" for user in "12" for time, item in enumerate("abc")]
    (folder / "log.csv").write_text("user,item,time\n" + "".join(rows))
    (folder / "items.csv").write_text(f"item_id,{named}\na,of/a\nb,of/b\nc,of/c\n")
    told = f'image_template = "{template}"\n' if template else ""
    text = f'{TOML}[filter]\nk_core = 0\n[items]\npath = "items.csv"\n{told}'
    (folder / "run.toml").write_text(text)
    pipeline(load(folder / "run.toml")).run("prepare")
    found = [fingerprints(load(folder / "run.toml"))]
    for content in ("a picture", "another one"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
        found.append(fingerprints(load(folder / "run.toml")))
    moved = folder.rename(tmp_path / "moved")
    found.append(fingerprints(load(moved / "run.toml")))
    assert [stale(*pair) for pair in pairwise(found)] == [ALL[1:], ALL[1:], ()]


def test_no_stage_reads_a_setting_that_its_fingerprint_lacks(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole run, every look at a setting noted: each stage's own, and those it stands on.

    With lists of 5 and 20, which once ended in a KeyError: models are compared by those of 10.
    """
    run = pipeline(load(quick(shop, tmp_path)))
    names = {id(section): name for name, section in sections(run.config)}
    looked_at: set[str] = set()
    look = Section.__getattribute__

    def noting(self: Section, attribute: str) -> Any:
        if id(self) in names and attribute in type(self).model_fields:
            looked_at.add(f"{names[id(self)]}{attribute}")
        return look(self, attribute)

    leaves = set(flat(run.config.model_dump())) - UNCOUNTED
    for stage in STAGES:
        looked_at.clear()
        directory = run.directory(stage.name)
        directory.mkdir(parents=True)
        with monkeypatch.context() as patch:
            patch.setattr(Section, "__getattribute__", noting)
            stage.run(run.config, directory)
        counted = {name for each in upstream(stage.name) for name in settings_of(run, each)}
        assert looked_at & leaves <= counted, stage.name
    evaluation = json.loads((run.directory("evaluate") / stage_files.EVALUATION).read_text())
    assert {"ndcg@5", "ndcg@10", "ndcg@20"} <= evaluation["models"]["bbqrec"].keys()


def quick(shop: Shop, directory: Path) -> Path:
    """A configuration of a short run: its models are worth nothing."""
    path = write_config(shop, directory)
    text = path.read_text().replace("epochs = 20", "epochs = 1").replace("epochs = 8", "epochs = 1")
    path.write_text(f'{text}cutoffs = [5, 20]\n[encode.image]\nencoder = "none"\n')
    return path


UNCOUNTED = {"output", "loggers", "encode.cache", "export.keep"}  # where things go, and stay


def upstream(name: str) -> Iterator[str]:
    yield name
    for need in next(stage for stage in STAGES if stage.name == name).needs:
        yield from upstream(need)


def settings_of(run: Pipeline, name: str) -> list[str]:
    return list(stage_settings(run.config, run.stages[name]))


def sections(section: Section, prefix: str = "") -> Iterator[tuple[str, Section]]:
    yield prefix, section
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from sections(value, f"{prefix}{name}.")


def flat(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def written(directory: Path, settings: str = "") -> Path:
    (directory / "log.csv").write_text("user,item\n")
    path = directory / "run.toml"
    path.write_text(f"{settings}\n{TOML}")
    return path


def touch(
    module: str,
    line: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    exchanged: dict[str, str] | None = None,
) -> None:
    """Let a module's source be another one, with a line more."""
    file = code.place(module)
    assert file is not None
    text = file.read_text()
    for old, new in (exchanged or {}).items():
        text = text.replace(old, new)
    other = directory / file.name
    other.write_text(f"{text}\n{line}\n")
    real = code.place
    monkeypatch.setattr(code, "place", lambda name: other if name == module else real(name))
