"""Putting conversations in order: tags, categories, pins and looks, one by one and many at once."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from chatvault.batches import worker
from chatvault.batches.steps import do_step
from conftest import HttpClient, SignIn
from support.browsing import OpenPage, violations
from support.factories import begin, message
from support.inserting import insert_conversations


async def make_category(client: HttpClient, name: str, parent: str | None = None) -> dict[str, Any]:
    """Make a category, as another device does."""
    body = {"name": name, **({"parent_id": parent} if parent else {})}
    made: dict[str, Any] = await (await client.post("/categories", json=body)).json()
    return made


async def choose(page: Page, *titles: str) -> None:
    """Choose conversations of the library."""
    for title in titles:
        await page.get_by_label(f"Select {title}", exact=True).check()


def hold_step(monkeypatch: pytest.MonkeyPatch, number: int) -> tuple[asyncio.Event, asyncio.Event]:
    """Stop the next job before one of its steps; return events: it is there, and it may go on."""
    come, go = asyncio.Event(), asyncio.Event()
    steps_begun = 0

    async def do(*args: Any) -> Any:
        nonlocal steps_begun
        steps_begun += 1
        if steps_begun == number:
            come.set()
            await go.wait()
        return await do_step(*args)

    monkeypatch.setattr(worker, "do_step", do)
    return come, go


async def hold_answer(page: Page, path: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold back the answer to a request; return events: it is there, and it may go on."""
    come, go = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        come.set()
        await go.wait()
        await route.fulfill(response=answer)

    await page.route(f"**/{path}", hold)
    return come, go


async def count_of(client: HttpClient, **query: str) -> int:
    """Return how many conversations match."""
    answer = await client.get(
        "/conversations", params={**query, "view": "summary", "limit": 1, "count": "true"}
    )
    assert answer.status == 200, await answer.text()
    return int(answer.headers["X-Total-Count"])


class TestLibrary:
    async def test_changes_many_and_filters_and_sorts(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        private = await make_category(client, "Private")
        journeys = await make_category(client, "Journeys", private["id"])
        for number in range(6):
            await begin(client, title=f"Talk {number}", tags=["old"] if number < 2 else [])
        page = await open_page("/library", client=client)
        await choose(page, "Talk 5")
        await page.get_by_label("Select Talk 2", exact=True).click(modifiers=["Shift"])
        await expect(page.get_by_role("group", name="4 selected")).to_be_visible()
        await page.get_by_role("button", name="Tag…", exact=True).click()
        await page.get_by_role("dialog").get_by_label("Tag", exact=True).fill("travel")
        await page.keyboard.press("Enter")
        badges = page.get_by_role("cell").get_by_role("button", name="travel", exact=True)
        await expect(badges).to_have_count(4)
        done = page.get_by_role("group", name="selected")
        await expect(done).to_have_count(0)
        await choose(page, "Talk 1", "Talk 2")
        await page.get_by_role("button", name="Move…").click()
        await page.get_by_label("Category", exact=True).select_option("Private / Journeys")
        await page.get_by_role("button", name="Apply").click()
        await expect(page.get_by_role("cell", name="Private / Journeys")).to_have_count(2)
        await expect(done).to_have_count(0)
        await choose(page, "Talk 1")
        come, go = await hold_answer(page, "conversations:batch")
        await page.get_by_role("button", name="Pin", exact=True).click()
        await come.wait()
        # What is chosen while a change is under way stays chosen.
        await expect(page.get_by_label("Select Talk 1", exact=True)).not_to_be_checked()
        await choose(page, "Talk 1")
        go.set()
        side = page.get_by_role("navigation", name="Conversations")
        await expect(side.get_by_role("heading").first).to_have_text("Pinned")
        await expect(page.get_by_text("1 conversation is changed.")).to_be_visible()
        await expect(page.get_by_role("group", name="1 selected")).to_be_visible()
        await page.get_by_label("Select Talk 1", exact=True).uncheck()

        titles = page.locator("td.title a")
        await page.get_by_label("In the category").select_option("Private")
        await page.get_by_label("Sort by").select_option("Title")
        await expect(titles).to_have_text(["Talk 1", "Talk 2"])
        await badges.click()
        await expect(titles).to_have_text(["Talk 2"])
        assert "tag=travel" in page.url
        assert f"category={private['id']}" in page.url
        # What another device changes moves in and out of what is filtered.
        [third] = await (await client.get("/conversations?sort=title&offset=3&limit=1")).json()
        fields = {"category_id": journeys["id"]}
        await client.patch(f"/conversations/{third['id']}", json=fields)
        await expect(titles).to_have_text(["Talk 2", "Talk 3"])
        await page.get_by_role("button", name="Clear filters").click()
        await expect(titles).to_have_count(6)
        await page.get_by_label("Pins").select_option("Pinned")
        await expect(titles).to_have_text(["Talk 1"])


class TestMany:
    async def test_of_all_that_match_in_the_background_and_undone(
        self, open_page: OpenPage, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = await sign_in("alice")
        await insert_conversations("alice", 110)
        home = await make_category(client, "Home")
        # In an order that their changes leave as it is: rows that come later are not chosen.
        page = await open_page("/library?sort=created", client=client)
        notice = page.get_by_role("status")

        async def choose_all(count: int) -> None:
            await page.get_by_label("Select all on this page").check()
            await page.get_by_role("button", name=f"Select all {count} that match").click()

        async def undo(count: int) -> None:
            await page.get_by_role("button", name="Undo").click()
            told = f"{count} conversations are as they were before."
            await expect(notice.get_by_text(told)).to_be_visible()

        await choose_all(110)
        await expect(page.get_by_role("group", name="110 selected")).to_be_visible()
        assert await violations(page) == []
        # Stop in the middle of the job to look at it.
        come, go = hold_step(monkeypatch, 3)
        await page.get_by_role("button", name="Move…").click()
        await page.get_by_label("Category", exact=True).select_option("Home")
        await page.get_by_role("button", name="Apply").click()
        await come.wait()
        working = page.get_by_role("group", name="Work with many conversations")
        await expect(working.get_by_text("24 of 110 done")).to_be_visible()
        await expect(working.get_by_role("progressbar")).to_have_attribute("value", "24")
        assert await violations(page) == []
        go.set()
        await expect(notice.get_by_text("110 conversations are changed.")).to_be_visible()
        assert await count_of(client, category=home["id"]) == 110
        await undo(110)
        assert await count_of(client, category="none") == 110

        await choose_all(110)
        come, go = hold_step(monkeypatch, 2)
        await page.get_by_role("button", name="Archive", exact=True).click()
        await come.wait()
        async with page.expect_response("**/cancel"):
            await working.get_by_role("button", name="Cancel").click()
        go.set()
        await expect(notice.get_by_text("Cancelled. 24 conversations are changed.")).to_be_visible()
        assert await count_of(client, status="archived") == 24
        await undo(24)
        assert await count_of(client, status="active") == 110

    async def test_takes_back_what_was_done_at_once(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        work = await make_category(client, "Work")
        home = await make_category(client, "Home")
        await begin(client, title="Talk 0", tags=["old"], category_id=work["id"])
        await begin(client, title="Talk 1")
        page = await open_page("/library", client=client)
        notice = page.get_by_role("status")

        async def undo(count: str) -> None:
            await page.get_by_role("button", name="Undo").click()
            await expect(notice.get_by_text(count)).to_be_visible()

        await choose(page, "Talk 0", "Talk 1")
        await page.get_by_role("button", name="Tag…", exact=True).click()
        await page.get_by_role("dialog").get_by_label("Tag", exact=True).fill("old")
        await page.keyboard.press("Enter")
        await expect(notice.get_by_text("1 conversation is changed.")).to_be_visible()
        await undo("1 conversation is as it was before.")
        assert await count_of(client, tag="old") == 1

        await choose(page, "Talk 0", "Talk 1")
        await page.get_by_role("button", name="Move…").click()
        await page.get_by_label("Category", exact=True).select_option("Home")
        await page.get_by_role("button", name="Apply").click()
        await expect(page.get_by_role("cell", name="Home")).to_have_count(2)
        await undo("2 conversations are as they were before.")
        assert await count_of(client, category=home["id"]) == 0
        assert await count_of(client, category=work["id"]) == 1

        await choose(page, "Talk 0", "Talk 1")
        await page.get_by_role("button", name="Delete", exact=True).click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("Nothing matches.")).to_be_visible()
        await undo("2 conversations are as they were before.")
        await expect(page.locator("td.title a")).to_have_count(2)


class TestSidebar:
    async def test_folds_categories_and_shows_pins_and_looks_first(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        await make_category(client, "Work")
        await begin(client, title="Fjords", messages=[message("Hi")])
        await begin(client, title="Newer")
        page = await open_page(client=client)
        side = page.get_by_role("navigation", name="Conversations")
        await side.get_by_role("button", name="Actions for Fjords").click()
        await page.get_by_role("menuitem", name="Tags, category, look…").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Tags").fill("travel")
        await dialog.get_by_label("Category").select_option("Work")
        await dialog.get_by_label("Teal").check()
        await dialog.get_by_label("Emoji").fill("🏔")
        assert await violations(page) == []
        # Another device adds a tag meanwhile, and nothing typed here is lost.
        [made] = await (await client.get("/conversations?limit=1&sort=created&offset=1")).json()
        path = f"/conversations/{made['id']}"
        await client.patch(path, json={"tags": ["theirs"]})
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        row = side.get_by_title("Fjords")
        await expect(row).to_contain_text("🏔")
        stored = await (await client.get(path)).json()
        assert set(stored["tags"]) == {"theirs", "travel"}
        assert stored["metadata"] == {"color": "teal", "emoji": "🏔"}

        await side.get_by_role("button", name="Work").click()
        await expect(row).to_have_count(2)
        await client.patch(path, json={"pinned": True})
        await expect(side.get_by_role("heading").first).to_have_text("Pinned")
        await expect(row).to_have_count(2)
        await make_category(client, "Home")
        await expect(side.get_by_role("button", name="Home")).to_be_visible()
        await page.reload()
        await expect(side.get_by_role("button", name="Work")).to_have_attribute(
            "aria-expanded", "true"
        )


class TestSettings:
    async def test_manage_categories_and_tags(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice")
        for title, tags in (("One", ["trips"]), ("Two", ["travel"]), ("Three", ["food"])):
            await begin(client, title=title, tags=tags)
        page = await open_page("/settings/order", client=client)
        await page.get_by_role("button", name="New category").click()
        await page.get_by_label("Name", exact=True).fill("Private")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="New category within Private").click()
        await page.get_by_label("Name", exact=True).fill("Journeys")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main").get_by_role("link", name="Journeys")).to_be_visible()
        tree = (await (await client.get("/categories")).json())["categories"]
        assert [each["parent_id"] for each in tree] == [None, tree[0]["id"]]
        await page.get_by_role("button", name="Delete Journeys").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(page.get_by_role("main").get_by_role("link", name="Journeys")).to_have_count(0)

        await page.get_by_label("Select trips").check()
        await page.get_by_label("Select travel").check()
        await page.get_by_role("button", name="Merge 2 tags").click()
        await page.get_by_label("The tag that stays").fill("travel")
        await page.get_by_role("dialog").get_by_role("button", name="Merge").click()
        await expect(page.get_by_text("2 conversations", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Rename food").click()
        await page.get_by_label("New name").fill("meals")
        await page.get_by_role("dialog").get_by_role("button", name="Rename").click()
        await expect(page.get_by_role("link", name="meals")).to_be_visible()
        tags = (await (await client.get("/tags")).json())["tags"]
        assert {each["tag"]: each["conversations"] for each in tags} == {"travel": 2, "meals": 1}
