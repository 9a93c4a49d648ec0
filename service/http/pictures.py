"""GET /pictures/{item_id}: what an item looks like, from the shop's own folder of pictures."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.generation.generation import Generation
from service.http.paths import ITEM
from service.http.state import State

_MOST_BYTES = 8 * 2**20
# By how a file begins, whatever it is called. No SVG: it may hold scripts.
_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
_HEADERS = {"cache-control": "public, max-age=3600", "content-security-policy": "sandbox"}


def add_pictures(app: FastAPI, folder: Path) -> None:
    """Those that the catalogue of the bundle refers to, by paths from this folder."""

    async def picture(request: Request) -> Response:
        state: State = request.app.state.service
        async with state.registry.lease_current() as generation:
            reference = _reference(generation, request.path_params["item_id"])
            found = None
            if reference is not None:
                found = await asyncio.to_thread(read, folder, reference)
        if found is None:
            raise HTTPException(404, "there is no picture of such an item")
        return Response(found[0], headers=_HEADERS, media_type=found[1])

    app.add_route(f"/pictures/{ITEM}", picture, include_in_schema=False)


async def places(
    generation: Generation, item_ids: Sequence[str], folder: Path | None
) -> list[str | None]:
    """Where the page asks for each; None where the folder has no such file, or there is none."""
    if folder is None:
        return [None] * len(item_ids)
    references = [_reference(generation, item_id) for item_id in item_ids]

    def files() -> list[Path | None]:
        return [None if each is None else _file(folder, each) for each in references]

    found = zip(item_ids, await asyncio.to_thread(files), strict=True)
    return [f"pictures/{quote(item_id)}" if file else None for item_id, file in found]


def read(folder: Path, reference: str) -> tuple[bytes, str] | None:
    """A file of the folder and its media type; None where that is no picture of a fair size."""
    if (path := _file(folder, reference)) is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError:
        return None
    kind = next((kind for head, kind in _TYPES.items() if content.startswith(head)), None)
    return None if kind is None or len(content) > _MOST_BYTES else (content, kind)


def _file(folder: Path, reference: str) -> Path | None:
    """Within the folder, wherever links lead."""
    try:
        path = (folder / reference).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):
        return None


def _reference(generation: Generation, item_id: str) -> str | None:
    row, bundle = generation.live.items.row(item_id), generation.bundle
    return None if row is None or row >= len(bundle.catalogue) else bundle.catalogue.pictures[row]
