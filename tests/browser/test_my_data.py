"""The account's data on the page: counted, and deleted with a receipt."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from chatvault.background import ERASER
from support.factories import PASSWORD


class TestMyData:
    async def test_is_shown_and_deleted_with_a_receipt(
        self, page: Page, app: Any, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        await page.goto("/settings/data")
        row = page.locator("dl > div").filter(has_text="API keys")
        await expect(row).to_contain_text("0")
        await page.get_by_role("button", name="Delete my account").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("This cannot be undone.")
        await dialog.get_by_label("Your password").fill("wrong horse")
        await dialog.get_by_role("button", name="Delete it for good").click()
        await expect(dialog).to_contain_text("The current password is wrong")
        await dialog.get_by_label("Your password").fill(PASSWORD)
        await dialog.get_by_role("button", name="Delete it for good").click()

        await page.wait_for_url("**/erased#*")
        await expect(page.locator("p[role=status]")).to_contain_text("is being removed")
        assert await database.sessions.count_documents({}) == 0
        constants.setattr("chatvault.erasure.worker.WAIT_SECONDS", 0)
        constants.setattr("chatvault.erasure.worker.LOOK_SECONDS", 0)
        await app[ERASER].work()
        await page.reload()
        await expect(page.locator("p[role=status]")).to_contain_text("Everything was removed")
        await expect(page.get_by_text("expected")).to_be_visible()
        await page.goto("/login")
        await expect(page.get_by_label("Username")).to_be_visible()
