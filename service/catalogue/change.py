"""A change of the catalogue, as the log keeps it: one line of JSON."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic_core import from_json, to_json

from models.contract.intake import AttributeValue, Content
from models.contract.types import FloatArray
from service.log.log import Entry, EntryError

Kind = Literal["put", "patch", "delete"]


@dataclass(frozen=True)
class Change:
    """One item put whole, its attributes patched, or the item deleted.

    version: the writer's; the later one of an item wins. None: later than what there is.
    time: seconds since 1970, of whoever wrote it. since: when the item was put first, and first: at
    which position, where what says so was compacted.
    """

    kind: Kind
    item_id: str
    time: float
    version: int | None = None
    content: Content | None = None  # of a put
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)  # of a patch
    since: float | None = None
    first: int | None = None


def encode(entry: Entry[Change]) -> bytes:
    """One line of JSON, without its end."""
    position, change = entry
    record: dict[str, Any] = {
        "position": position, "kind": change.kind, "item_id": change.item_id, "time": change.time,
        "version": change.version,
    }  # fmt: skip
    if change.content is not None:
        record["content"] = _packed(change.content)
    if change.attributes:
        record["attributes"] = change.attributes
    if change.since is not None:
        record["since"] = change.since
    if change.first is not None:
        record["first"] = change.first
    return to_json(record)


def decode(line: bytes) -> Entry[Change]:
    """The inverse. Raises EntryError."""
    try:
        record = from_json(line)
        packed = record.get("content")
        change = Change(
            kind=record["kind"],
            item_id=record["item_id"],
            time=record["time"],
            version=record["version"],
            content=None if packed is None else _unpacked(packed),
            attributes=record.get("attributes", {}),
            since=record.get("since"),
            first=record.get("first"),
        )
        return Entry(record["position"], change)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EntryError(f"no entry of the log: {error}") from error


def digest(content: Content) -> bytes:
    """16 bytes, the same for the same content, whoever read it from the log."""
    return hashlib.blake2b(to_json(_packed(content)), digest_size=16).digest()


def _packed(content: Content) -> dict[str, Any]:
    vectors = {name: _text(_bytes(vector)) for name, vector in content.vectors.items()}
    picture = None if content.picture is None else _text(content.picture)
    found = {
        "title": content.title, "text": content.text, "attributes": content.attributes,
        "vectors": vectors, "picture": picture,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value not in (None, {})}


def _unpacked(packed: Mapping[str, Any]) -> Content:
    picture = packed.get("picture")
    vectors = packed.get("vectors", {})
    return Content(
        title=packed.get("title"),
        text=packed.get("text", {}),
        attributes=packed.get("attributes", {}),
        vectors={name: _vector(text) for name, text in vectors.items()},
        picture=None if picture is None else base64.b64decode(picture),
    )


def _bytes(vector_E: FloatArray) -> bytes:
    return vector_E.astype("<f4").tobytes()


def _vector(text: str) -> FloatArray:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
