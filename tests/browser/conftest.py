"""Fixtures: one real browser for the run, and a page of it a test."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    async_playwright,
    expect,
)
from pydantic import SecretStr

from chatvault.external import Provider
from chatvault.pages.bundle import BUILT
from chatvault.settings import Settings
from conftest import HttpClient, SignIn
from support.browsing import Complaints, OpenPage, find_browser
from support.factories import settings_for
from support.fake_model import FakeModel
from support.kept_page import USUAL, WIDE, KeptPage
from support.sharing import Shared

SECONDS = 15


@pytest.fixture
def settings(data_dir: Path, fake_model: FakeModel) -> Settings:
    provider = Provider(base_url=fake_model.url, api_key=SecretStr("sk-key"), model="fjord-1")
    return settings_for(data_dir, providers={"fake": provider}, replies_per_minute=1000)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = find_browser()
    reason = ""
    if path is None:
        reason = "there is no Chromium; apt install chromium, or set CHATVAULT_TEST_BROWSER"
    elif not (BUILT / "SOURCES").exists():
        reason = "the page is not built: scripts/ui build"
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=SECONDS * 1000)
    async with async_playwright() as playwright:
        # Chromium has no sandbox for root.
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
            env={**os.environ, "TZ": "UTC"},
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def kept(browser: Browser) -> AsyncIterator[list[KeptPage]]:
    """The pages that tests use one after the other; some need a second one."""
    kept = [KeptPage(browser, _open) for _ in range(2)]
    yield kept
    for each in kept:
        await each.close()


@pytest.fixture
async def open_page(
    browser: Browser, kept: list[KeptPage], http: HttpClient, shared: Shared
) -> AsyncIterator[OpenPage]:
    """Opens the service in a browser of its own; the test fails if that browser complains.

    Where there are no options, that is a page which the next test gets too: that finds nothing of
    this one but the files of the page. `own=True` opens one that has nothing, and may be changed
    in ways that cannot be undone.
    """
    contexts: list[BrowserContext] = []
    complaints = Complaints()
    home = str(http.make_url("/"))

    async def open_page(
        path: str = "/",
        *,
        client: HttpClient | None = None,
        own: bool = False,
        viewport: ViewportSize = WIDE,
        **options: Any,
    ) -> Page:
        free = next((each for each in kept if not each.is_used), None)
        if free is not None and not own and not options:
            page = await free.take(home)
            await page.set_viewport_size(viewport)
        else:
            given: dict[str, Any] = {**USUAL, "viewport": viewport, **options}
            context = await browser.new_context(base_url=home, **given)
            contexts.append(context)
            page = await _open(context, complaints)
        if client is not None:
            await _give_session(page.context, client)
        await page.goto(path)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    for each in kept:
        complaints.found += await each.give_back()
    # A browser keeps connections, and the application would not be shared.
    shared.end_connections()
    assert complaints.found == []


async def _open(context: BrowserContext, complaints: Complaints) -> Page:
    """Open a page that takes itself for signed in if it has a session, and its storage is empty."""
    context.set_default_timeout(SECONDS * 1000)
    await context.add_init_script(
        "if (location.protocol !== 'about:' && document.cookie.includes('test.signed-in')"
        " && !localStorage.getItem('test.began')) {"
        " localStorage.setItem('test.began', '1');"
        " localStorage.setItem('chatvault.signed-in', '1'); }"
    )
    page = await context.new_page()
    complaints.watch(page)
    return page


async def _give_session(context: BrowserContext, client: HttpClient) -> None:
    """Be signed in as a client of the tests is."""
    [cookie] = [each for each in client.session.cookie_jar if each.key == "session_id"]
    url = str(client.make_url("/"))
    await context.add_cookies(
        [
            {"name": cookie.key, "value": cookie.value, "url": url},
            {"name": "test.signed-in", "value": "1", "url": url},
        ]
    )


@pytest.fixture
async def page(open_page: OpenPage, sign_in: SignIn) -> Page:
    """Alice's browser, at the beginning."""
    page = await open_page(client=await sign_in("alice"))
    await page.get_by_label("Message").wait_for()
    return page
