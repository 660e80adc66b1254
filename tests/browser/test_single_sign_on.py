"""Signing in with an identity provider, in a browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from chatvault.settings import Settings, Switch
from conftest import HttpClient
from support.browsing import OpenPage
from support.factories import settings_for
from support.signing_on import RealProvider, identity_provider

pytestmark = pytest.mark.xdist_group("oidc")


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[RealProvider]:
    async with identity_provider() as provider:
        yield provider


@pytest.fixture
def settings(data_dir: Path, provider: RealProvider) -> Settings:
    return settings_for(data_dir, oidc=provider.config(name="Fjord"), passwords=Switch.OFF)


async def sign_in_there(page: Page, login: str) -> None:
    await page.get_by_placeholder("Enter any login").fill(login)
    await page.get_by_placeholder("and password").fill("any")
    await page.get_by_role("button", name="Sign-in").click()
    await page.get_by_role("button", name="Continue").click()


async def test_goes_there_and_comes_back_to_the_wanted_page(open_page: OpenPage) -> None:
    page = await open_page("/login?to=/settings/account")
    await expect(page.get_by_label("Username")).to_have_count(0)
    await page.get_by_role("link", name="Sign in with Fjord").click()
    await sign_in_there(page, "ann")
    await expect(page.get_by_text("You can sign in with Fjord.")).to_be_visible()
    await expect(page.get_by_text("ann@example.org")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("ann@example.org")).to_be_visible()


async def test_says_why_it_did_not_work(open_page: OpenPage, http: HttpClient) -> None:
    page = await open_page("/login")
    await page.get_by_role("link", name="Sign in with Fjord").click()
    await page.get_by_role("link", name="Cancel").click()
    await expect(page.get_by_text("You were not signed in there.")).to_be_visible()
    refused = await http.post("/auth/login", json={"username": "ann", "password": "any"})
    assert (refused.status, (await refused.json())["code"]) == (403, "passwords_off")
