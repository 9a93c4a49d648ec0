"""The page in a real browser: what people do with it, by mouse and by keyboard.

Chromium is found on the PATH, or where BBQREC_CHROMIUM says; without it these tests are skipped.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright

from benchmarks.reliability.like_intake import LikeIntake
from models.contract import bundle
from models.contract.intake import ContentColumns, IntakeCard
from models.contract.manifest import FILES, read_manifest
from models.contract.samples import Sample, Samples
from service.catalogue.live_items import LiveItems
from service.engine.choose import make_engine
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.http.app import create_app
from service.metrics import Metrics
from service.settings import Settings

CHROMIUM = os.environ.get("BBQREC_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
PHONE, DESKTOP = (390, 844), (1280, 800)
expect.set_options(timeout=30_000)  # a machine with other work is slow
TIMED = re.compile(
    r"[\d.]+ ms in the service \(queue [\d.]+, encode [\d.]+, search [\d.]+\), "
    r"\d+ ms with the way there"
)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def bundle_to_try(bundle_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny one, which says what it takes in, and holds somebody to look at."""
    directory = Path(shutil.copytree(bundle_directory, tmp_path_factory.mktemp("page") / "bundle"))
    columns = ContentColumns(title="name", text=("name", "like"), attributes=("kind",))
    card = IntakeCard(columns=columns, modalities={}, tokens=False)
    (directory / FILES.INTAKE).write_text(card.model_dump_json())
    users = (Sample(history=("item-3", "item-4"), took="item-9"),)
    (directory / FILES.SAMPLES).write_text(Samples(users=users).model_dump_json())
    told = dict(read_manifest(directory)[0])
    bundle.write_manifest(
        directory, {k: v for k, v in told.items() if k not in ("files", "schema_version")}
    )
    return directory


def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
    """All as it is served, but for who encodes new items."""
    items = LiveItems(bundle.read(directory))
    engine = make_engine(items.bundle, settings, lambda: items.live)
    return new_generation(items, engine, LikeIntake(items.bundle), settings, metrics)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def url(bundle_to_try: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that runs."""
    kept = tmp_path_factory.mktemp("kept")
    Image.new("RGB", (30, 40), (200, 60, 40)).save(_folder(kept / "pictures") / "nine.png")
    scenarios = kept / "scenarios.toml"
    scenarios.write_text('[cart]\npin = [{ item_id = "item-30", position = 2 }]\n')
    settings = Settings(
        bundle=bundle_to_try, live=kept, events=kept / "events", provider="cpu", drain=0,
        pictures=kept, scenarios=scenarios,
    )  # fmt: skip
    config = uvicorn.Config(create_app(settings, load), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


class Tab:
    """A page, and what must not happen on it."""

    def __init__(self, browser: Browser, url: str, size: tuple[int, int] = DESKTOP) -> None:
        self.url = url
        self.faults: list[str] = []
        width, height = size
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        self.page.on("console", lambda said: self.faults.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self.heard)

    def heard(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.faults.append(f"asked another host: {request.url}")

    def open(self, fragment: str = "") -> Page:
        self.page.goto(f"{self.url}/{fragment}")
        return self.page

    def names(self, of: str) -> list[str]:
        return self.page.locator(f"{of} > li .name").all_text_contents()


@pytest.fixture
def tab(browser: Browser, url: str) -> Iterator[Tab]:
    tab = Tab(browser, url)
    yield tab
    assert tab.faults == []
    tab.page.close()


def search(page: Page, query: str) -> None:
    box = page.get_by_role("combobox", name="Search the catalogue")
    box.fill(query)
    expect(page.locator(".found [role=option]").first).to_contain_text(query, ignore_case=True)
    box.press("Enter")


def test_what_is_chosen_is_answered_at_once_with_its_why(tab: Tab) -> None:
    page = tab.open()
    expect(page.locator("#next-title")).to_have_text("What most people had")
    search(page, "title 41")
    expect(page.locator("#next-title")).to_have_text("Next for them")
    expect(page.locator("#next > li")).to_have_count(10)
    expect(page.locator("#next > li").first).to_contain_text("Title 41")  # speaks for it
    assert TIMED.fullmatch(page.locator("#timing").inner_text())
    expect(page.locator("#curl")).to_contain_text('"history":["item-41"]')
    page.locator("#next > li").first.get_by_role("button").click()
    expect(page.locator("#history > li")).to_have_count(2)


def test_a_history_is_put_in_order_and_cleared_by_keyboard_alone(tab: Tab) -> None:
    page = tab.open("#view=try&h=item-1&h=item-2&h=item-3")
    expect(page.locator("#history > li")).to_have_count(3)
    page.get_by_role("button", name="Move Title 3 up").press("Enter")
    assert tab.names("#history") == ["Title 1", "Title 3", "Title 2"]
    expect(page.get_by_role("button", name="Move Title 3 up")).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    assert tab.names("#history") == ["Title 3", "Title 1", "Title 2"]
    page.get_by_role("button", name="Remove Title 1").press("Enter")
    assert tab.names("#history") == ["Title 3", "Title 2"]
    expect(page.get_by_role("button", name="Remove Title 2")).to_be_focused()
    assert page.url.endswith("#view=try&h=item-3&h=item-2")
    page.get_by_role("button", name="Start again").press("Enter")
    expect(page.get_by_role("combobox", name="Search the catalogue")).to_be_focused()


def test_filters_and_k_are_at_hand(tab: Tab) -> None:
    page = tab.open("#view=try&h=item-1")
    page.locator("#k").select_option("5")
    expect(page.locator("#next > li")).to_have_count(5)
    page.locator("#filters summary").click()
    page.get_by_label("Attribute").select_option("price")
    page.locator(".filter select").nth(1).select_option("lte")
    page.get_by_label("Value").fill("3")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#next > li")).to_have_count(2)  # 2 and 3: 1 is in the history
    page.get_by_role("button", name="No longer: price at most 3").click()
    expect(page.locator("#next > li")).to_have_count(5)


def test_a_filter_that_leaves_nothing_says_so(tab: Tab) -> None:
    page = tab.open("#view=try&h=item-1&filter=" + quote('[["price","lte",-1]]'))
    expect(page.locator("#fallback")).to_have_text("Nothing is left that may be recommended.")
    expect(page.locator("#next > li")).to_have_count(0)


def test_a_scenario_is_chosen_and_its_rule_said(tab: Tab) -> None:
    page = tab.open("#view=try&h=item-1")
    page.get_by_label("Scenario").select_option("cart")
    second = page.locator("#next > li").nth(1)
    expect(second.locator(".name")).to_have_text("Title 30")
    expect(second.locator(".badge")).to_have_text("pin")
    expect(page.locator("#curl")).to_contain_text('"scenario":"cart"')
    page.reload()
    expect(page.get_by_label("Scenario")).to_have_value("cart")


def test_before_there_is_a_model_the_page_says_how_far_its_training_is(tab: Tab) -> None:
    page, waits = tab.page, [True]
    standing = {"stage": "fit", "title": "histories to a sequence model", "number": 4, "of": 8,
                "state": "running", "share": 0.5, "message": None, "seconds": 75}  # fmt: skip

    def catalogue(route: Route) -> None:
        if waits[0]:
            route.fulfill(status=503, json={"status": 503, "detail": "no model is loaded"})
        else:
            route.continue_()

    page.route("**/page/catalogue", catalogue)
    page.route("**/page/training", lambda route: route.fulfill(json=standing))
    tab.open("#view=try&h=item-1")
    expect(page.get_by_role("progressbar", name="Training")).to_have_js_property("value", 3.5)
    expect(page.locator("#standing")).to_contain_text("Stage 4 of 8, fit")
    expect(page.locator("#standing")).to_contain_text("1 min 15 s")
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in {"serious", "critical"}] == []
    standing |= {"state": "failed", "message": "log.csv has no users"}
    expect(page.locator("#standing")).to_contain_text("failed at stage fit")
    expect(page.locator("#standing .notice")).to_have_text("log.csv has no users")
    waits[0] = False
    expect(page.locator("#next > li")).to_have_count(10)
    expect(page.locator("#waiting")).to_be_hidden()
    tab.faults = [fault for fault in tab.faults if "503" not in fault]


@pytest.mark.parametrize(("path", "drawn"), [("docs", ".opblock"), ("redoc", "[data-section-id]")])
def test_the_api_is_drawn(tab: Tab, path: str, drawn: str) -> None:
    tab.page.goto(f"{tab.url}/{path}")
    expect(tab.page.locator(drawn).filter(has_text="/events").first).to_be_visible()


def test_an_item_that_has_a_picture_shows_it(tab: Tab) -> None:
    page = tab.open("#view=try&h=item-9&h=item-8")
    shown = page.locator("#history img.picture")
    expect(shown).to_have_count(1)
    expect(shown).to_have_js_property("naturalHeight", 40)
    page.get_by_role("link", name="Title 9", exact=True).first.click()
    expect(page.locator("dialog img.picture").first).to_have_js_property("naturalWidth", 30)


def test_an_item_opens_and_back_closes_it(tab: Tab) -> None:
    page = tab.open("#view=try&h=item-8")
    page.locator("#history .name").click()
    sheet = page.get_by_role("dialog", name="Title 8")
    expect(sheet).to_be_visible()
    expect(sheet.locator(".tuple > span")).to_have_count(4)
    expect(sheet.locator(".near > section")).to_have_count(2)
    expect(sheet.locator(".near li")).to_have_count(10)
    page.go_back()
    expect(sheet).to_be_hidden()
    page.locator("#history .name").click()
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.locator("#history .name")).to_be_focused()


def test_a_new_item_is_put_and_recommended_and_its_name_is_only_text(tab: Tab) -> None:
    page = tab.open("#view=add")
    page.get_by_label("Id").fill("new-1")
    page.get_by_label("Title").fill(HOSTILE)
    page.get_by_label("like").fill("item-3")
    page.get_by_role("button", name="Put it into the catalogue").click()
    expect(page.locator(".result h2")).to_have_text(f"{HOSTILE} is in the catalogue")
    expect(page.locator(".result .tuple > span")).to_have_count(4)
    page.get_by_role("button", name="Show that").click()
    expect(page.locator("#next .marked")).to_contain_text(HOSTILE)
    page.locator("#next .marked .name").click()
    expect(page.get_by_role("dialog", name=HOSTILE)).to_contain_text("while the service ran")
    page.get_by_role("button", name="Delete it").click()
    expect(page.locator("#next .marked")).to_have_count(0)


def test_what_somebody_really_took_is_marked(tab: Tab) -> None:
    page = tab.open("#view=try&k=100")
    page.get_by_role("button", name="Take somebody real").click()
    expect(page.locator("#took")).to_contain_text("Title 9")
    expect(page.locator("#next .came")).to_contain_text("Title 9")
    assert tab.names("#history") == ["Title 3", "Title 4"]
    page.get_by_role("button", name="Remove Title 3").click()
    expect(page.locator("#took")).to_be_empty()


def test_who_presses_something_is_told_that_the_service_is_away_and_tries_again(tab: Tab) -> None:
    page, notice = tab.page, tab.page.locator("#notice")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})

    def leave() -> None:
        page.route("**/*", lambda route: route.abort("connectionrefused"))

    def come_back() -> None:
        page.unroute_all()
        notice.get_by_role("button", name="Try again").click()
        expect(notice).to_be_hidden()

    tab.open("#view=try&h=item-1&k=20")
    expect(page.locator("#next > li")).to_have_count(20)
    leave()
    page.get_by_role("button", name="Take somebody real").click()
    expect(notice).to_contain_text("The service cannot be reached.")
    come_back()
    expect(page.locator("#took")).to_contain_text("Title 9")
    leave()
    page.locator("#next .name").last.click()
    expect(notice).to_be_in_viewport()  # though that was far down
    page.unroute_all()
    page.locator("#next .name").last.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    leave()
    page.locator("#next > li").last.get_by_role("button").click()
    expect(page.locator("#next[aria-busy]")).to_be_visible()  # is of another history
    come_back()
    expect(page.locator("#next[aria-busy]")).to_have_count(0)
    tab.open("#view=add")
    leave()
    page.get_by_label("Title", exact=True).fill("Of no use")
    page.get_by_role("button", name="Put it into the catalogue").click()
    expect(page.locator(".problem")).to_have_text("The service cannot be reached.")
    tab.faults = [fault for fault in tab.faults if "ERR_CONNECTION_REFUSED" not in fault]


def test_enter_means_all_that_was_typed_however_fast(tab: Tab) -> None:
    page = tab.open()
    box = page.get_by_role("combobox", name="Search the catalogue")
    box.fill("title 4")
    expect(page.locator(".found [role=option]").first).to_contain_text("Title 4")
    box.press("1")
    box.press("Enter")
    expect(page.locator("#history > li")).to_have_count(1)
    assert tab.names("#history") == ["Title 41"]
    box.press("Enter")
    page.wait_for_load_state("networkidle")
    expect(page.locator("#history > li")).to_have_count(1)


@pytest.mark.parametrize("label", ["Id", "Title"])
def test_an_item_of_spaces_alone_is_not_put(tab: Tab, label: str) -> None:
    page = tab.open("#view=add")
    page.get_by_label("Title", exact=True).fill("Something")
    page.get_by_label(label, exact=True).fill("   ")
    page.get_by_role("button", name="Put it into the catalogue").click()
    assert page.locator(f"label:has(span:text-is('{label}')) input:invalid").count() == 1
    expect(page.locator(".result h2")).to_have_count(0)


def test_a_long_id_that_nobody_knows_is_no_wider_than_the_window(tab: Tab) -> None:
    page = tab.open(f"#view=try&h={'W' * 250}&k=5")
    expect(page.locator("#fallback")).to_contain_text("Nothing is known of W")
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP[0]


def test_what_a_canary_would_answer_stands_beside_it_with_what_differs(tab: Tab) -> None:
    """Here the canary is one that says it the other way round."""

    def there_is_one(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "canary": True})

    def turned_round(route: Route) -> None:
        as_current = {**route.request.headers, "x-generation": "current"}
        answer = route.fetch(headers=as_current).json()
        if route.request.headers["x-generation"] == "canary":
            answer["items"] = [*answer["items"][:0:-1], {**answer["items"][0], "item_id": "item-0"}]
        route.fulfill(json=answer)

    tab.page.route("**/page/catalogue", there_is_one)
    tab.page.route("**/recommend", turned_round)
    page = tab.open("#view=try&h=item-1&k=5")
    expect(page.locator("#compare .badge")).to_have_text(["↑ 4", "↑ 2", "↓ 2", "new here"])
    first = tab.names("#next")[0]
    expect(page.locator("#compare")).to_contain_text(f"No longer among them: {first}")


def test_the_page_goes_on_where_the_canary_has_ended(tab: Tab) -> None:
    def there_was_one(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "canary": True})

    tab.page.route("**/page/catalogue", there_was_one)
    page = tab.open("#view=try&h=item-1&k=5")
    expect(page.locator("#next > li")).to_have_count(5)
    expect(page.locator("#compare")).to_contain_text("nothing serves as 'canary'")
    expect(page.locator("#notice")).to_be_hidden()
    page.locator("#k").select_option("10")
    expect(page.locator("#next > li")).to_have_count(10)
    expect(page.locator("#compare")).to_be_empty()
    tab.faults = [fault for fault in tab.faults if "503" not in fault]


def test_a_long_name_leaves_room_for_others(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})

    def long(route: Route) -> None:
        items = [{**item, "title": "word " * 200} for item in route.fetch().json()["items"]]
        route.fulfill(json={"items": items})

    tab.page.route("**/items?*", long)
    page = tab.open("#view=try&h=item-1&k=5")
    row = page.locator("#next > li").first.bounding_box()
    assert row is not None
    assert row["height"] < PHONE[1] / 4


def test_an_item_is_found_on_the_map_and_opened(tab: Tab) -> None:
    page = tab.open("#view=map&h=item-1&h=item-2")
    expect(page.locator("#map [role=status].hint")).to_contain_text("2 of 2 steps")
    box = page.get_by_role("combobox", name="Find an item on the map")
    box.fill("title 33")
    expect(page.locator(".found [role=option]")).to_have_count(1)
    box.press("Enter")
    expect(page.locator("#map [role=status].hint")).to_contain_text("Title 33 is in the middle")
    page.locator("canvas").click()
    expect(page.get_by_role("dialog", name="Title 33")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_anybody_from_it(
    browser: Browser, url: str, size: tuple[int, int], scheme: str
) -> None:
    """axe finds nothing serious, and nothing is wider than the window."""
    tab = Tab(browser, url, size)
    tab.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    history = "h=item-1&h=item-2"
    for view in f"try&{history}", f"try&{history}&item=item-9", f"map&{history}", "add":
        tab.page.goto("about:blank")  # or only the fragment would be another
        page = tab.open(f"#view={view}")
        page.wait_for_load_state("networkidle")
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in {"serious", "critical"}]
        assert serious == [], view
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0], view
    assert tab.faults == []
    tab.page.close()
