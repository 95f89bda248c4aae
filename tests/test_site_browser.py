"""The pages in a browser, opened from a folder: search, dark, phone, no errors, and nothing fetched from anywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_assets.site.build import build
from tests.site_project import FILES, NOW, opened
from tests.test_defs_browser import BROWSER

pytestmark = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browsed")
    for path, text in FILES.items():
        file = folder / "flow_specs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with opened(folder) as project:
        build(project, folder / "site", NOW, look=False)
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, site: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page that may say nothing on the console and ask for nothing but files of the site."""
    found = browser.new_page(**getattr(request, "param", {}))
    complaints: list[str] = []
    found.on("console", lambda message: complaints.append(message.text))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    inside = (f"file://{site}/", "data:")
    found.on("request", lambda asked: None if asked.url.startswith(inside) else complaints.append(asked.url))
    yield found
    found.close()
    assert complaints == []


def listed(page: Any) -> list[str]:
    return [item.inner_text() for item in page.locator(".item:visible h3 a").all()]


def test_search_finds_a_flow_by_its_owner_and_by_its_properties_from_any_page(page: Any, site: Path) -> None:
    page.goto(f"file://{site}/index.html")
    assert len(listed(page)) == 8
    page.get_by_label("Search names").fill("GROWTH csv")
    assert listed(page) == ["feed"]
    assert page.locator("#found").inner_text() == "1 page found"
    page.get_by_label("Search names").fill("first_seen")
    assert listed(page) == ["changed_visits", "visits", "visits"]
    assert "has first_seen" in page.locator(".item:visible").first.inner_text()
    page.get_by_role("link", name="changed_visits").click()
    field = page.get_by_role("searchbox").first
    field.fill("quiet")
    field.press("Enter")
    page.wait_for_url("**/index.html?q=quiet")
    assert listed(page) == ["quiet"]


@pytest.mark.parametrize("page", [{"color_scheme": "dark", "viewport": {"width": 360, "height": 740}}], indirect=True)
def test_pages_are_dark_where_the_reader_is_and_fit_a_phone(page: Any, site: Path) -> None:
    for file in sorted(site.rglob("*.html")):
        page.goto(f"file://{file}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), file
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(21, 22, 24)"
        assert page.locator("h1").count() == 1


def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page: Any, site: Path) -> None:
    for file in sorted(site.rglob("*.html")):
        page.goto(f"file://{file}")
        for target in page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"):
            path, _, anchor = target.removeprefix("file://").partition("#")
            assert Path(path).is_file(), (file, target)
            assert not anchor or f'id="{anchor}"' in Path(path).read_text(), (file, target)
