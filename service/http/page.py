"""GET /: a page to try it all in a browser, and what that page alone asks for."""

import asyncio
import time
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from models.contract.bundle import Bundle
from models.contract.catalogue_map import CatalogueMap
from models.contract.intake import IntakeCard
from models.contract.standing import Standing
from service.catalogue.overview import describe_attributes
from service.generation.generation import Generation
from service.http.find import MOST_IDS
from service.http.state import State
from service.page.files import File, PageFiles, packed

# The browser holds the page to it: titles are whatever a shop wrote.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"


def add_page(app: FastAPI) -> None:
    """The shell, its files, and what it knows of the catalogue."""
    page = PageFiles()

    async def shell(request: Request) -> Response:
        file = page.shell_under(request.scope.get("root_path", ""))
        headers = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer"}
        return answer(request, file, {**headers, "cache-control": "no-cache"})

    async def file(request: Request) -> Response:
        named = request.path_params
        found = page.files.get(named["name"]) if named["version"] == page.version else None
        if found is None:
            raise HTTPException(404, "the page has no such file")
        return answer(request, found, {"cache-control": _FOR_EVER})

    maps: dict[str, File] = {}  # of the bundle in service alone

    async def catalogue_map(request: Request) -> Response:
        state: State = request.app.state.service
        async with state.registry.lease_current() as generation:
            bundle = generation.bundle
            if bundle.digest not in maps:
                drawn = await asyncio.to_thread(_map, bundle)
                maps.clear()
                maps[bundle.digest] = drawn
            return answer(request, maps[bundle.digest], {"cache-control": "no-cache"})

    app.add_route("/", shell, include_in_schema=False)
    app.add_route("/page/map", catalogue_map, include_in_schema=False)
    app.add_route("/page/training", training, include_in_schema=False)
    app.add_route("/page/samples", samples, include_in_schema=False)
    app.add_route("/page/catalogue", catalogue, include_in_schema=False)
    app.add_route("/page/{version}/{name}", file, include_in_schema=False)


def answer(request: Request, file: File, headers: dict[str, str]) -> Response:
    """As the browser takes it: nothing where it has it already, packed where it may be."""
    headers = {**headers, "etag": file.etag, "vary": "accept-encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers = file.packed, {**headers, "content-encoding": "gzip"}
    return Response(content, headers=headers, media_type=file.type)


async def training(request: Request) -> Response:
    """Where the training of a bundle stands. Raises HTTPException 404 where none tells."""
    state: State = request.app.state.service
    standing = await asyncio.to_thread(Standing.read, state.settings.bundle)
    if standing is None:
        raise HTTPException(404, "no training says where it stands")
    told = {**standing.model_dump(), "seconds": max(0.0, time.time() - standing.began)}
    return JSONResponse(told, headers={"cache-control": "no-store"})


async def samples(request: Request) -> Response:
    """Some users of the test part. Raises HTTPException 404 where the bundle has none."""
    state: State = request.app.state.service
    async with state.registry.lease_current() as generation:
        path = generation.bundle.samples_path
        if path is None:
            raise HTTPException(404, "the bundle holds no samples of users")
        return Response(await asyncio.to_thread(path.read_bytes), media_type="application/json")


async def catalogue(request: Request) -> JSONResponse:
    """What the page has to know before it can ask: what there is to filter by, and to put."""
    state: State = request.app.state.service
    async with state.registry.lease_current() as generation:
        return JSONResponse(await asyncio.to_thread(_catalogue, generation, state))


def _map(bundle: Bundle) -> File:
    """Ids, places and first codes side by side. Raises HTTPException 404 where there is none."""
    if bundle.map_path is None:
        raise HTTPException(404, "the bundle holds no map")
    rows_J, places_J2, _ = CatalogueMap.read(bundle.map_path)
    space, codes_NS = bundle.manifest.architecture.code_space, bundle.semantic_ids.codes_NS
    told = {
        "ids": bundle.catalogue.item_ids.of(rows_J.tolist()),
        "places": places_J2.ravel().tolist(),
        "codes": {
            name: codes_NS[rows_J, n * space.levels].tolist()
            for n, name in enumerate(space.modalities)
        },
    }
    return packed("map.json", to_json(told))


def _catalogue(generation: Generation, state: State) -> dict[str, Any]:
    bundle, settings = generation.bundle, state.settings
    manifest = bundle.manifest
    path = bundle.intake_path
    card = IntakeCard.model_validate_json(path.read_bytes()) if path is not None else None
    return {
        "name": manifest.name,
        "model_version": bundle.digest,
        "items": len(bundle.catalogue) + generation.live.items.counts()[0],
        "code_space": manifest.architecture.code_space.model_dump(mode="json"),
        "attributes": [each._asdict() for each in describe_attributes(bundle.attributes)],
        "intake": None
        if card is None
        else {**card.columns.model_dump(), "pictures": card.pictures},
        "map": bundle.map_path is not None,
        "samples": bundle.samples_path is not None,
        "refit": bool(manifest.split.get("refit")),
        "scenarios": sorted(state.scenarios.by_name),
        "canary": state.registry.get("canary") is not None,
        "most": {"k": settings.max_k, "history": settings.max_history, "ids": MOST_IDS},
    }
