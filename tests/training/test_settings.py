"""``bbqrec-train settings``: every setting, from the models that judge a file themselves."""

import json
import tomllib

import pytest
from typer.testing import CliRunner

from training.cli import app
from training.config import RunConfig
from training.settings import Setting, settings

ALL = settings()


def by_name(name: str) -> Setting:
    return next(setting for setting in ALL if setting.name == name)


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_every_setting_has_a_meaning_a_type_and_a_default(setting: Setting) -> None:
    assert len(setting.meaning) > 5
    assert setting.type
    if setting.default not in ("required", "not set"):
        tomllib.loads(f"value = {setting.default}")


def test_none_is_left_out() -> None:
    """As many as a whole configuration has values, wherever they stand."""
    whole = RunConfig.model_validate(
        {"name": "x", "output": "o", "interactions": {"path": "a"}, "items": {"path": "b"}}
    )

    def count(content: dict[str, object]) -> int:
        return sum(count(v) if v and isinstance(v, dict) else 1 for v in content.values())

    assert len(ALL) == len({setting.name for setting in ALL}) == count(whole.model_dump())


def test_types_tell_bounds_and_choices() -> None:
    assert by_name("fit.heads")[1:3] == ("integer, at least 1 and at most 64", "2")
    assert by_name("fit.dropout").type == "number, at least 0 and below 1"
    assert by_name("split.kind").type == '"leave_one_out" | "temporal"'
    assert by_name("interactions.path")[1:3] == ("path", "required")
    assert by_name("evaluate.cutoffs").default == "[5, 10, 20]"
    assert by_name("fit.mask_seen")[1:3] == ("true | false", "false")


def test_those_for_research_stand_apart_and_last() -> None:
    research = [setting.name for setting in ALL if setting.for_research]
    assert research == [setting.name for setting in ALL[-len(research) :]]
    assert {"research.block", "research.edges", "research.shared_codebook"} <= set(research)


def test_they_are_printed_for_people_and_for_programs() -> None:
    shown = CliRunner().invoke(app, ["settings"])
    assert shown.exit_code == 0
    assert "[research]: for ablations, no user needs it" in shown.output
    printed = json.loads(CliRunner().invoke(app, ["settings", "--json"]).output)
    assert [setting["name"] for setting in printed] == [setting.name for setting in ALL]
