"""Pictures of the page, of a service that runs: `python scripts/screenshots.py URL FOLDER`.

Of the demo: `make serve`, then, with the extra `dev`,
`python scripts/screenshots.py http://127.0.0.1:8000 docs/screenshots`.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HISTORY = "h=222&h=227&h=228"  # three Star Treks, in the demo
VIEWS = {
    "try": f"#view=try&{HISTORY}",
    "item": f"#view=try&{HISTORY}&item=50",
    "map": f"#view=map&{HISTORY}",
    "add": "#view=add",
    "waiting": "",
}
NEW = {  # as in the README
    "Id": "new-1",
    "Title": "Star Trek: A New Crew",
    "release_year": "1998",
    "class": "Action Adventure Sci-Fi",
}
STANDING = {  # as a training tells it
    "stage": "fit", "title": "histories to a sequence model", "number": 4, "of": 8,
    "state": "running", "share": 0.3, "message": None, "seconds": 41,
}  # fmt: skip
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}


def take(browser: Browser, url: str, size: str, scheme: str, view: str) -> Image.Image:
    """One view, as it looks once nothing moves any more."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if size == "phone" else 1,
        reduced_motion="reduce",
    )
    page = context.new_page()
    if view == "waiting":  # as if there were no model yet
        page.route("**/page/catalogue", lambda route: route.fulfill(status=503, json={}))
        page.route("**/page/training", lambda route: route.fulfill(json=STANDING))
    page.goto(f"{url}/{VIEWS[view]}")
    page.wait_for_load_state("networkidle")
    if view == "add":
        put(page)
    png = page.screenshot()
    if view == "add":
        page.request.delete(f"{url}/items/{NEW['Id']}")
    context.close()
    return Image.open(io.BytesIO(png))


def put(page: Page) -> None:
    """An item into the catalogue, for as long as it takes to look at it."""
    for label, text in NEW.items():
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Put it into the catalogue").click()
    page.locator(".result h2").wait_for()
    page.wait_for_load_state("networkidle")


def main(url: str, folder: Path) -> None:
    """Every view, at both sizes, light and dark, of few colours: a picture is some 50 KB."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for size in SIZES:
            for scheme in "light", "dark":
                for view in VIEWS:
                    picture = take(browser, url, size, scheme, view).convert("RGB")
                    few = picture.quantize(200, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
                    few.save(folder / f"{view}-{size}-{scheme}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
