"""From a TOML file to a RunConfig, or to an error that names what is wrong with the file."""

import os
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from models.contract.config import Frozen
from training.config.run import RunConfig
from training.errors import UserError

Settings = TypeVar("Settings", bound=Frozen)


def load(path: Path) -> RunConfig:
    """Read a run configuration. Raises UserError that names the file, the field and the fault."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    try:
        config = RunConfig.model_validate(fields)
    except ValidationError as error:
        raise UserError(_explain(path, error)) from error
    return _resolve_paths(config, path.resolve().parent)


def _explain(path: Path, error: ValidationError) -> str:
    lines = [f"{path} is not a valid run configuration:"]
    for fault in error.errors():
        field, said = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
        lines.append(f"  {field}: {said}" if field else f"  {said}")
    return "\n".join(lines)


def _resolve_paths(section: Settings, base: Path) -> Settings:
    """A copy in which every relative path starts at the TOML file's folder."""
    updates: dict[str, object] = {}
    for name, value in section:
        if isinstance(value, Path):
            updates[name] = Path(os.path.normpath(base / value))
        elif isinstance(value, Frozen):
            updates[name] = _resolve_paths(value, base)
    return section.model_copy(update=updates)
