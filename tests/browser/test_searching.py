"""Searching: as one types, with filters in the address, and up to the place in the thread."""

import asyncio
import contextlib
from typing import Any

import pytest
from playwright.async_api import Error, Page, Route, expect

from chatvault.pages import routes
from conftest import HttpClient, SignIn
from support.browsing import OpenPage, said, violations
from support.factories import begin, message

# What the browser paints as found, once it has.
MARKED = """
new Promise(done => {
  const look = () => {
    const found = [...CSS.highlights.get('found') ?? []].map(range => range.toString());
    found.length ? done(found) : requestAnimationFrame(look);
  };
  look();
})
"""
HOSTILE = "<img src=x onerror=alert(1)> fjord"


async def search_for(page: Page, words: str) -> None:
    """Open the search over the page, and type all at once: answers to less would come between."""
    await page.get_by_role("button", name="Search").wait_for()
    await page.keyboard.press("Control+k")
    await page.get_by_role("combobox").fill(words)


class TestAsOneTypes:
    async def test_jumps_to_a_hit_far_up_by_keyboard(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        words = [f"Message {number}." for number in range(300)]
        words[20], words[40] = "The Geirangerfjord is deep.", "Geiranger, again."
        long = await begin(client, title="Norway", messages=[message(each) for each in words])
        await begin(client, title="Geiranger hotels", messages=[message(HOSTILE)])
        page = await open_page(f"/c/{long['id']}", client=client)
        await expect(said(page, "Message 299.")).to_be_in_viewport()
        await search_for(page, "geirang")
        found = page.get_by_role("listbox", name="Results")
        await expect(found.get_by_role("option")).to_have_count(3)
        await expect(found.get_by_role("group", name="Norway").locator("mark")).to_have_text(
            ["Geirangerfjord", "Geiranger"]
        )
        await expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("3 hits")
        assert await violations(page) == []
        option = found.get_by_role("option", name="Geirangerfjord is deep")
        for _ in range(3):
            if await option.get_attribute("aria-selected") == "true":
                break
            await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")

        hit = page.get_by_role("article").filter(has_text="Geirangerfjord")
        await expect(hit).to_be_in_viewport()
        await expect(hit).to_have_attribute("aria-current", "true")
        await expect(hit).to_be_focused()
        assert await page.get_by_role("article").count() <= 120
        bar = page.get_by_role("region", name="Hits in this conversation")
        await expect(bar).to_contain_text("1 of 2")
        # The other hit is marked, too, as soon as it is laid out.
        assert "Geirangerfjord" in await page.evaluate(MARKED)
        await bar.get_by_role("button", name="Later hit").click()
        again = page.get_by_role("article").filter(has_text="again.")
        await expect(again).to_have_attribute("aria-current", "true")
        await expect(bar.get_by_role("button", name="Later hit")).to_be_focused()
        await page.reload()
        await expect(again).to_be_in_viewport()
        await page.get_by_role("button", name="Close the search").click()
        await expect(bar).to_have_count(0)
        assert page.url.endswith(f"/c/{long['id']}")

    async def test_drops_stale_answers_and_says_how_far_the_index_is(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        page = await open_page(client=await sign_in("alice"))
        shares = [0.42, 1.0]
        late = asyncio.Event()

        async def answer(route: Route) -> None:
            if is_for("fj", route):
                await late.wait()
            partly = shares.pop(0) if is_for("fjord", route) and shares else 1.0
            with contextlib.suppress(Error):  # given up by the page
                await route.fulfill(json=answer_with(HOSTILE, indexed=partly))

        await page.route("**/search?*", answer)
        async with page.expect_request("**/search?q=fj&*"):
            await search_for(page, "fj")
        await page.get_by_role("combobox").fill("fjord")
        status = page.get_by_role("dialog").get_by_role("status")
        await expect(status).to_contain_text("42 %")
        await expect(status).not_to_contain_text("%")
        late.set()
        await expect(page.get_by_role("option")).to_contain_text(HOSTILE)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


class TestBranches:
    async def test_are_shown_where_the_hit_is(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice")
        before = [message(f"Before {number}.") for number in range(60)]
        made = await begin(client, title="Fjords", messages=[*before, message("Which?", id="q")])
        path = f"/conversations/{made['id']}"
        for name, words in (("first", "Tulips, one"), ("second", "Roses"), ("third", "Tulips, 3")):
            branch = [
                message(words, "assistant", id=name, parent_id="q"),
                message(f"After {name}."),
            ]
            answer = await client.post(f"{path}/messages:batch", json={"messages": branch})
            assert answer.status == 200
        chosen = {"message_id": "second"}
        assert (await client.put(f"{path}/active-leaf", json=chosen)).status == 200
        page = await open_page("/find?q=tulips", client=client)
        await page.get_by_role("link", name="Tulips, one").click()
        thread = page.get_by_role("log")
        await expect(thread.get_by_text("Tulips, one")).to_be_in_viewport()
        await expect(thread.get_by_text("After first.")).to_be_visible()
        await expect(page.get_by_role("group", name="Branches")).to_contain_text("1 / 3")
        # Who steps through the hits is asked first.
        await page.get_by_role("button", name="Later hit").click()
        await expect(page.get_by_text("This message is on another branch.")).to_be_visible()
        await expect(thread.get_by_text("After first.")).to_be_visible()
        await page.get_by_role("button", name="Show that branch").click()
        await expect(thread.get_by_text("Tulips, 3")).to_be_in_viewport()
        await expect(thread.get_by_text("After first.")).to_have_count(0)
        assert await violations(page) == []


class TestPage:
    async def test_filters_and_keeps_the_search_in_the_address(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        category = await _make_category(client)
        both = [message("Tulips in May"), message("Tulips in June", "assistant")]
        await begin(
            client, title="Garden", tags=["spring"], category_id=category["id"], messages=both
        )
        other = await begin(client, title="Market", messages=[message("Tulips, cheap")])
        page = await open_page("/find", client=client)
        await page.get_by_role("searchbox").press_sequentially("tulips")
        titles = page.get_by_role("main").get_by_role("heading", level=2)
        await expect(titles).to_have_text(["Market", "Garden"], use_inner_text=True)
        await page.get_by_label("Category").select_option("Flowers")
        await expect(titles).to_have_text(["Garden"])
        await page.get_by_role("combobox", name="Tag", exact=True).select_option("spring")
        await page.get_by_label("Written by").select_option("Assistant")
        await expect(page.locator("mark")).to_have_count(1)
        assert "q=tulips" in page.url
        assert "role=assistant" in page.url
        await page.reload()
        await expect(page.get_by_role("link", name="Tulips in June")).to_be_visible()
        await expect(page.get_by_label("Written by")).to_have_value("assistant")

        # What changes elsewhere shows, and what is typed stays.
        await page.get_by_role("button", name="Clear filters").click()
        await expect(titles).to_have_count(2)
        await client.delete(f"/conversations/{other['id']}")
        await expect(titles).to_have_text(["Garden"])
        await expect(page.get_by_role("searchbox")).to_have_value("tulips")

    async def test_says_where_words_are_not_indexed(
        self, open_page: OpenPage, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(routes, "is_installed", lambda: False)
        page = await open_page("/health", client=await sign_in("alice"))

        async def answer(route: Route) -> None:
            await route.fulfill(json=answer_with("Deep", indexed=0.25))

        await page.route("**/search?*", answer)
        await page.goto("/find?q=deep")
        await expect(page.get_by_text("only titles and your newest messages")).to_be_visible()
        await expect(page.get_by_role("link", name="Deep")).to_be_visible()


def is_for(words: str, route: Route) -> bool:
    """Whether a search is for just these words."""
    return f"q={words}&" in route.request.url


def answer_with(words: str, *, indexed: float) -> dict[str, Any]:
    """Return an answer to a search: one message of these words."""
    at, piece = "2026-11-21T19:41:04.902Z", {"text": words, "mark": False}
    place = {"message_id": "m", "seq": 0, "role": "user", "timestamp": at, "score": 1.0}
    conversation: dict[str, Any] = {
        "id": "6b01f3d04b063bd009032290",
        "title": "Fjords",
        "title_marks": None,
        "tags": [],
        "status": "active",
        "agent_id": "0" * 24,
        "updated_at": at,
        "last_message_at": at,
    }
    results = [{"conversation": conversation, "hits": [{**place, "snippet": [piece]}]}]
    counts = {"total": 1, "about": False, "indexed": indexed, "took_ms": 1.0}
    return {"results": results, **counts, "next_cursor": None}


async def _make_category(client: HttpClient) -> dict[str, Any]:
    made: dict[str, Any] = await (await client.post("/categories", json={"name": "Flowers"})).json()
    return made
