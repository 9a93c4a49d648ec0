"""/docs and /redoc: all that they load comes from this service, so no other host hears of them."""

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

_ASSETS = Path(str(files("fastapi_standalone_docs") / "static"))
_NO_ICON = "data:,"
# The browser holds them to it. Both write their scripts and styles into the page.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src blob:; frame-ancestors 'none'"
)


def add_pages(app: FastAPI) -> None:
    """Both pages, what they load beside them, and what they show."""
    app.add_route("/openapi.json", document, include_in_schema=False)
    app.add_route("/docs", swagger, include_in_schema=False)
    app.add_route("/redoc", redoc, include_in_schema=False)
    app.mount("/docs", StaticFiles(directory=_ASSETS / "swagger"))
    app.mount("/redoc", StaticFiles(directory=_ASSETS / "redoc"))


async def document(request: Request) -> JSONResponse:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi())


async def swagger(request: Request) -> HTMLResponse:
    """The OpenAPI document to read and to try."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="bbqrec",
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=_NO_ICON,
        swagger_ui_parameters={"validatorUrl": None},  # a badge that its maker's host draws
    )
    return _guarded(page)


async def redoc(request: Request) -> HTMLResponse:
    """The OpenAPI document to read."""
    root = request.scope.get("root_path", "")
    page = get_redoc_html(
        openapi_url=f"{root}/openapi.json",
        title="bbqrec",
        redoc_js_url=f"{root}/redoc/redoc.standalone.js",
        redoc_favicon_url=_NO_ICON,
        with_google_fonts=False,
    )
    return _guarded(page)


def _guarded(page: HTMLResponse) -> HTMLResponse:
    page.headers["content-security-policy"] = _POLICY
    return page
