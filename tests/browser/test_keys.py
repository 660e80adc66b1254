"""API keys on the page: made, shown once, used, revoked."""

import re
from typing import Any

from playwright.async_api import Page, expect

from chatvault.actor import Role
from chatvault.api_keys.secret import is_well_formed
from chatvault.background import KEY_FINDER
from conftest import HttpClient, SignIn
from support.browsing import OpenPage


async def make(page: Page, name: str) -> str:
    """Fill in the form; the key that is shown."""
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Make the key").click()
    shown = page.get_by_role("region", name=f"The key \u201c{name}\u201d")
    await expect(shown).to_be_focused()
    return await shown.locator("code").inner_text()


class TestKeys:
    async def test_are_made_used_and_revoked(
        self, page: Page, http: HttpClient, app: Any, database: Any
    ) -> None:
        await page.goto("/settings/keys")
        await expect(page.get_by_text("There is no key yet.")).to_be_visible()
        assert await page.get_by_role("checkbox", name="Administrate").count() == 0
        await page.get_by_role("checkbox", name=re.compile("^Write")).check()
        await page.get_by_label("It works for").select_option("30 days")
        secret = await make(page, "Notes")

        assert is_well_formed(secret)
        [stored] = await database.api_keys.find().to_list()
        assert (stored["expires_at"] - stored["created_at"]).days == 30
        assert stored["scopes"] == ["conversations:read", "conversations:write"]
        bearer = {"Authorization": f"Bearer {secret}"}
        assert (await http.post("/conversations", json={}, headers=bearer)).status == 201
        await app[KEY_FINDER].note_uses()
        await page.get_by_role("button", name="I have copied it").click()
        await expect(page.get_by_text(secret)).to_have_count(0)
        await page.reload()
        await expect(page.get_by_text(re.compile("Used"))).to_be_visible()
        await expect(page.get_by_text(secret)).to_have_count(0)
        await expect(page.get_by_text(secret[:12])).to_be_visible()

        await page.get_by_role("button", name="Revoke: Notes").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()

        await expect(page.get_by_text("There is no key yet.")).to_be_visible()
        assert (await http.get("/conversations", headers=bearer)).status == 401

    async def test_of_administrators_may_administrate(
        self, open_page: OpenPage, sign_in: SignIn, database: Any
    ) -> None:
        page = await open_page("/settings/keys", client=await sign_in("root", role=Role.ADMIN))
        await page.get_by_role("checkbox", name="Administrate").check()
        await make(page, "One")
        await make(page, "Two")
        assert await database.api_keys.count_documents({"scopes": "admin"}) == 2

        await page.get_by_role("button", name="Revoke all keys").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke all keys").click()

        await expect(page.get_by_text("Revoked 2 API keys")).to_be_visible()
        assert await database.api_keys.count_documents({}) == 0
