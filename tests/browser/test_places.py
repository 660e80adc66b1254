"""The other places: library, assistants, settings, the auditor's review."""

import asyncio
import json
import zipfile
from typing import Any

import pytest
from playwright.async_api import Page, expect

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, said
from support.factories import PASSWORD, begin, message
from support.fake_model import FakeModel
from support.using import insert_usage


class TestExport:
    @pytest.mark.long
    async def test_saves_a_conversation_and_everything(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        await begin(client, title="Fjords", messages=[message("Which first?")])
        page = await open_page("/", client=client)
        menu = page.get_by_role("navigation").get_by_role("button", name="Actions for Fjords")
        await menu.click()
        async with page.expect_download() as markdown:
            await page.get_by_role("menuitem", name="Export as Markdown").click()
        saved = await markdown.value
        assert saved.suggested_filename.endswith(".md")
        assert "Which first?" in (await saved.path()).read_text()

        await page.goto(str(client.make_url("/settings/account")))
        async with page.expect_download() as everything:
            await page.get_by_role("link", name="Download it").click()
        with zipfile.ZipFile(await (await everything.value).path()) as archive:
            assert "conversations.ndjson" in archive.namelist()


class TestLibrary:
    async def test_archives_and_deletes_several(
        self, open_page: OpenPage, sign_in: SignIn, database: Any
    ) -> None:
        client = await sign_in("alice")
        for title in ("One", "Two", "Three", "Four"):
            await begin(client, title=title)
        page = await open_page("/library", client=client)
        await page.get_by_label("Select One").check()
        await page.get_by_label("Select Two").check()
        await page.get_by_role("button", name="Archive", exact=True).click()
        await expect(page.get_by_role("cell").get_by_text("Archived")).to_have_count(2)

        await page.get_by_label("Show").select_option("archived")
        await expect(page.get_by_label("Select Three")).to_have_count(0)
        await expect(page.get_by_label("Select One")).to_be_visible()
        await page.get_by_label("Select all on this page").check()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()

        await expect(page.get_by_text("Nothing matches.")).to_be_visible()
        trashed = await database.conversations.distinct("title", {"status": "deleted"})
        assert sorted(trashed) == ["One", "Two"]


class TestAgents:
    async def test_are_created_and_answer(
        self, page: Page, fake_model: FakeModel, database: Any
    ) -> None:
        await page.get_by_role("link", name="Assistants").click()
        await page.get_by_role("button", name="New assistant").click()
        await page.get_by_label("Name").fill("Guide")
        await page.get_by_label("Instructions").fill("Answer as a guide to Norway.")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("heading", name="Guide")).to_be_visible()

        await page.get_by_role("button", name="Actions for Guide").click()
        await page.get_by_role("menuitem", name="New conversation with it").click()
        await expect(page.get_by_role("button", name="Assistant")).to_contain_text("Guide")
        await ask(page, "Which fjord?")
        await expect(said(page, "Answer 1.")).to_be_visible()
        assert "guide to Norway" in fake_model.asked[0][0][1]

        await page.get_by_label("Message").fill("And then?")
        await page.get_by_role("button", name="What would be sent").click()
        preview = page.get_by_role("dialog")
        await expect(preview).to_contain_text("Answer as a guide to Norway.")
        await expect(preview).to_contain_text("And then?")
        assert len(fake_model.asked) == 1

    async def test_show_which_field_is_wrong(self, page: Page) -> None:
        await page.get_by_role("link", name="Assistants").click()
        await page.get_by_role("button", name="New assistant").click()
        await page.get_by_label("Name").fill("Wild")
        await page.get_by_label("Temperature").fill("9")
        await page.get_by_role("button", name="Save").click()

        await expect(page.get_by_label("Temperature")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("Name")).to_have_value("Wild")


class TestSettings:
    async def test_keep_a_theme(self, page: Page) -> None:
        await page.goto("/settings")
        await page.get_by_label("Dark").check()
        await expect(page.get_by_text("Saved")).to_be_visible()
        await page.reload()

        await expect(page.get_by_label("Dark")).to_be_checked()
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"

    async def test_change_the_password(self, page: Page, http: HttpClient) -> None:
        await page.goto("/settings/account")
        await page.get_by_label("Current password").fill(PASSWORD)
        await page.get_by_label("New password").fill("another horse")
        await page.get_by_role("button", name="Change password").click()
        await expect(page.get_by_text("The password is changed")).to_be_visible()

        credentials = {"username": "alice", "password": "another horse"}
        assert (await http.post("/auth/login", json=credentials)).status == 200

    async def test_end_another_session(self, page: Page, http: HttpClient, database: Any) -> None:
        credentials = {"username": "alice", "password": PASSWORD}
        await http.post("/auth/login", json=credentials)
        await page.goto("/settings/sessions")
        await page.get_by_role("button", name="Sign out there").click()

        await expect(page.get_by_role("button", name="Sign out there")).to_have_count(0)
        assert await database.sessions.count_documents({}) == 1
        assert (await http.get("/auth/me")).status == 401

    async def test_show_the_users_own_activity(self, page: Page) -> None:
        await page.goto("/settings/activity")
        await expect(page.get_by_role("cell", name="Read settings").first).to_be_visible()


class TestReview:
    @pytest.fixture(autouse=True)
    def sealer(self, own_application: None) -> None:
        """Let the service's own sealer run."""

    async def test_filters_the_log(self, open_page: OpenPage, sign_in: SignIn) -> None:
        bob = await sign_in("bob")
        await begin(bob, title="Bob's secret")
        await bob.get("/auth/sessions")
        page = await open_page("/review", client=await sign_in("alice", role=Role.AUDITOR))
        await expect(page.get_by_role("cell", name="Begin a conversation")).to_be_visible()
        assert "secret" not in await page.get_by_role("main").inner_text()

        await page.get_by_label("Action").fill("session.*")
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page.get_by_role("cell", name="Begin a conversation")).to_have_count(0)
        await expect(page.get_by_role("cell", name="List sessions")).to_be_visible()

    async def test_exports_what_is_shown(self, open_page: OpenPage, sign_in: SignIn) -> None:
        page = await open_page("/review", client=await sign_in("alice", role=Role.AUDITOR))
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="Export as NDJSON").click()
        path = await (await downloading.value).path()
        lines = path.read_text().splitlines()
        assert {"action", "outcome"} <= json.loads(lines[0]).keys()

    async def test_is_for_auditors(self, page: Page) -> None:
        await page.get_by_role("button", name="Account: alice").click()
        await expect(page.get_by_role("menuitem", name="Review")).to_have_count(0)
        await page.goto("/review")
        await expect(page.get_by_text("for auditors and administrators")).to_be_visible()

    async def test_finds_accounts_and_links_to_their_log_and_usage(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        for name in ("bob", "bobby", "carol"):
            await sign_in(name)
        bob = await insert_usage("bob", (700, 300))
        await insert_usage("carol", (5000, 0), days_ago=3)
        page = await open_page("/review/users", client=await sign_in("alice", role=Role.ADMIN))
        await expect(page.get_by_role("cell", name="carol", exact=True)).to_be_visible()
        await page.get_by_label("Username begins with").fill("BOB")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("cell", name="carol", exact=True)).to_have_count(0)
        await expect(page.get_by_role("row")).to_have_count(3)

        await page.get_by_role("link", name="Usage of bob", exact=True).click()
        await expect(page.get_by_role("row", name="bob 1,000 700 300 1")).to_be_visible()
        await page.get_by_role("link", name="Show everybody").click()
        await expect(page.get_by_role("row", name="carol 5,000")).to_be_visible()
        rows = page.get_by_role("region", name="By user").get_by_role("row")
        await expect(rows.nth(1)).to_contain_text("carol")
        await page.get_by_role("link", name="Users").click()
        await page.get_by_role("link", name="Log of bob", exact=True).click()
        await expect(page.get_by_label("User id")).to_have_value(str(bob))

    async def test_shows_accounts_to_administrators_only(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        page = await open_page("/review/users", client=await sign_in("alice", role=Role.AUDITOR))
        await expect(page.get_by_text("for administrators")).to_be_visible()
        await expect(page.get_by_role("link", name="Users")).to_have_count(0)

    async def test_verifies_the_log(
        self, open_page: OpenPage, sign_in: SignIn, database: Any
    ) -> None:
        page = await open_page("/review", client=await sign_in("alice", role=Role.AUDITOR))
        await expect(page.get_by_text("was not verified from here yet")).to_be_visible()
        await page.get_by_role("button", name="Verify now").click()
        await expect(page.get_by_text("Intact", exact=True)).to_be_visible()

        held = await database.audit_blocks.find_one({})
        while held is None:  # the service sets no event
            await asyncio.sleep(0.05)
            held = await database.audit_blocks.find_one({})
        await database.audit_logs.delete_one({"_id": held["entry_ids"][0]})
        await page.get_by_role("button", name="Verify now").click()
        await expect(page.get_by_text("Not intact")).to_be_visible()
        await expect(page.get_by_text(str(held["entry_ids"][0]))).to_be_visible()


class TestPrint:
    async def test_lays_out_all_of_a_long_conversation(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        messages = [message(f"**Message** {number}.", "assistant") for number in range(300)]
        made = await begin(client, title="Long", messages=messages)
        page = await open_page(f"/c/{made['id']}", client=client)
        await page.get_by_role("main").get_by_role("button", name="Actions for").click()
        await page.get_by_role("menuitem", name="Print").click()

        await expect(page.get_by_text("300 messages", exact=True)).to_be_visible()
        assert await page.get_by_role("article").count() == 300
        assert await page.get_by_role("navigation").count() == 0
        await page.emulate_media(media="print")
        height = await page.evaluate("document.documentElement.scrollHeight")
        assert height > 300 * 20
        await expect(page.get_by_role("button", name="Print")).to_be_hidden()


class TestSidebarWidth:
    async def test_can_be_changed_by_keys_and_pointer_and_is_kept(self, page: Page) -> None:
        edge = page.get_by_role("separator", name="Width of the sidebar")
        await edge.focus()
        await page.keyboard.press("ArrowRight")
        await expect(edge).to_have_attribute("aria-valuenow", "296")
        await edge.hover()
        await page.mouse.down()
        await page.mouse.move(400, 300)
        await page.mouse.up()
        await expect(edge).to_have_attribute("aria-valuenow", "400")
        await page.reload()
        await expect(edge).to_have_attribute("aria-valuenow", "400")
