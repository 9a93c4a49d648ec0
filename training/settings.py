"""Every setting with type, default and meaning, from the models that judge a file themselves."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from training.config import RunConfig

RESEARCH = "research"
NOT_SET = "not set"
_HOLDS = {"array": ("list", "items"), "object": ("table", "additionalProperties")}


class Setting(NamedTuple):
    """One line of a TOML file that a user may write."""

    name: str  # dotted
    type: str
    default: str  # as TOML has it; "required" or "not set"
    meaning: str

    @property
    def section(self) -> str:
        """The table that it stands in; empty for the top of the file."""
        return self.name.rpartition(".")[0]

    @property
    def for_research(self) -> bool:
        """Whether ablations alone need it."""
        return self.name.startswith(f"{RESEARCH}.")


def settings() -> list[Setting]:
    """All of them, in the order of the file; those of ``[research]`` last."""
    schema = RunConfig.model_json_schema()
    found = list(_walk(schema, schema["$defs"], ""))
    return sorted(found, key=lambda setting: setting.for_research)


def values(config: RunConfig) -> dict[str, object]:
    """What a run's settings are, by dotted name; of paths the last name alone."""
    return dict(_flat(config.model_dump(), ""))


def toml(value: object) -> str:
    """A value as TOML has it. JSON's strings, numbers and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _flat(section: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _portable(value)


def _portable(value: object) -> object:
    """Paths count by name (and by their files' content), not by where a checkout happens to lie."""
    if isinstance(value, tuple):
        return [_portable(inner) for inner in value]
    return value.name if isinstance(value, Path) else value


def _walk(model: dict[str, Any], named: dict[str, Any], prefix: str) -> Iterator[Setting]:
    """A section's own settings, then those of the sections in it."""
    inner = {name: _section(field) for name, field in model["properties"].items()}
    for name, field in model["properties"].items():
        if not inner[name]:
            default = NOT_SET if field.get("default") is None else toml(field["default"])
            needed = name in model.get("required", ())
            shown = "required" if needed else default
            yield Setting(f"{prefix}{name}", _type(field), shown, field.get("description", ""))
    for name, section in inner.items():
        if section:
            yield from _walk(named[section], named, f"{prefix}{name}.")


def _section(field: dict[str, Any]) -> str | None:
    """The name of the model that a field holds, if it holds one."""
    for each in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        if reference := each.get("$ref"):
            return str(reference).rpartition("/")[2]
    return None


def _type(field: dict[str, Any]) -> str:
    """In words that need no JSON schema."""
    if options := field.get("anyOf"):
        return " or ".join(_type(each) for each in options if each.get("type") != "null")
    if values := field.get("enum"):
        return " | ".join(map(toml, values))
    kind = field.get("type")
    if inside := _HOLDS.get(str(kind)):
        return f"{inside[0]} of ({_type(field.get(inside[1], {}))})"
    if kind == "string":
        return "path" if field.get("format") == "path" else "text"
    if kind == "boolean":
        return "true | false"
    return ", ".join(filter(None, ({"number": "number"}.get(str(kind), "integer"), _range(field))))


def _range(field: dict[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    return " and ".join(
        f"{said} {_plain(field[key])}" for key, said in words.items() if key in field
    )


def _plain(number: float) -> str:
    return str(number).removesuffix(".0")
