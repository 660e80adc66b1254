"""Administration on the page: accounts, retention, legal holds, health."""

from typing import Any

import pytest
from playwright.async_api import expect

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.browsing import OpenPage, violations


@pytest.fixture
async def root(sign_in: SignIn) -> HttpClient:
    return await sign_in("root", role=Role.ADMIN)


class TestAccounts:
    async def test_are_made_changed_and_erased(
        self, open_page: OpenPage, root: HttpClient, http: HttpClient, database: Any
    ) -> None:
        page = await open_page("/review/users", client=root)
        await page.get_by_role("button", name="New account").click()
        form = page.get_by_role("dialog")
        await form.get_by_label("Username").fill("root")
        await form.get_by_label("Email").fill("dave@example.org")
        await form.get_by_role("button", name="Create the account").click()
        await expect(form.get_by_text("Another account has this name")).to_be_visible()
        await form.get_by_label("Username").fill("dave")
        await form.get_by_role("button", name="Create the account").click()
        await expect(page.get_by_role("heading", name="dave")).to_be_visible()

        await page.get_by_role("button", name="Make a link").click()
        made = page.get_by_role("listitem", name="The link")
        await expect(made).to_be_focused()
        token = (await made.locator("code").inner_text()).rpartition("/reset/")[2]
        reset = {"token": token, "new_password": "a long evening"}
        assert (await http.post("/auth/password-reset", json=reset)).status == 200
        credentials = {"username": "dave", "password": "a long evening"}
        await http.post("/auth/login", json=credentials)
        assert await violations(page) == []

        await page.get_by_label("Role", exact=True).select_option("Auditor")
        await page.get_by_role("button", name="Change the role").click()
        await expect(page.get_by_text("The role is changed.")).to_be_visible()
        assert (await http.get("/auth/me")).status == 401
        await page.get_by_role("button", name="Close the account").click()
        await page.get_by_role("dialog").get_by_role("button", name="Close the account").click()
        await expect(page.get_by_role("button", name="Open the account")).to_be_visible()
        stored = await database.users.find_one({"username": "dave"})
        assert (stored["role"], stored["is_active"]) == ("auditor", False)

        await page.get_by_role("button", name="Erase").click()
        asked = page.get_by_role("dialog")
        await expect(asked.get_by_role("button", name="Erase for good")).to_be_disabled()
        await asked.get_by_label("Type “dave” to confirm").fill("dave")
        await asked.get_by_role("button", name="Erase for good").click()
        await page.get_by_role("link", name="Receipt").click()
        await expect(page.get_by_role("heading", name="Your account is closed")).to_be_visible()

    async def test_of_the_last_administrator_stays(
        self, open_page: OpenPage, root: HttpClient, database: Any
    ) -> None:
        mine = await database.users.find_one({"username": "root"})
        page = await open_page(f"/review/users/{mine['_id']}", client=root)
        await page.get_by_label("Role", exact=True).select_option("User")
        await page.get_by_role("button", name="Change the role").click()
        await expect(page.get_by_text("Nobody else administrates.")).to_be_visible()


class TestRetentionAndHolds:
    async def test_are_set_placed_and_lifted(
        self, open_page: OpenPage, root: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        page = await open_page("/review/retention", client=root)
        days = page.get_by_label("Days for the role User", exact=True)
        await days.fill("many")
        await page.get_by_role("button", name="Save for the role User").click()
        await expect(page.get_by_text("A whole number of days")).to_be_visible()
        await days.fill("730")
        await page.get_by_role("button", name="Save for the role User").click()
        await page.get_by_role("dialog").get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved. It counts within an hour.")).to_be_visible()
        assert (await database.retention_policies.find_one({}))["days"] == 730

        await page.get_by_role("link", name="Legal holds").click()
        await page.get_by_label("User", exact=True).fill("Bob")
        await page.get_by_label("Reason").fill("Case 17")
        await page.get_by_role("button", name="Place a hold").click()
        await expect(page.get_by_role("cell", name="Case 17")).to_be_visible()
        await page.get_by_role("button", name="Lift the hold of bob").click()
        await page.get_by_role("dialog").get_by_role("button", name="Lift").click()
        await expect(page.get_by_text("There is no hold.")).to_be_visible()
        assert (await database.holds.find_one({}))["lifted_at"] is not None

    async def test_of_auditors_are_holds_alone(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice", role=Role.AUDITOR)
        page = await open_page("/review/holds", client=client)
        await expect(page.get_by_role("button", name="Place a hold")).to_be_visible()
        await expect(
            page.get_by_role("navigation", name="Review").get_by_role("link")
        ).to_have_text(["Log", "Legal holds"])
        await page.goto("/review/health")
        await expect(page.get_by_text("This is for administrators.")).to_be_visible()
