"""Putting conversations in order: tags, categories, pins and looks, one by one and many at once."""

from typing import Any

from playwright.async_api import Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, violations
from support.factories import begin, message


async def make_category(client: HttpClient, name: str, parent: str | None = None) -> dict[str, Any]:
    """Make a category, as another device does."""
    body = {"name": name, **({"parent_id": parent} if parent else {})}
    made: dict[str, Any] = await (await client.post("/categories", json=body)).json()
    return made


async def choose(page: Page, *titles: str) -> None:
    """Choose conversations of the library."""
    for title in titles:
        await page.get_by_label(f"Select {title}", exact=True).check()


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
        await page.get_by_role("button", name="Pin", exact=True).click()
        side = page.get_by_role("navigation", name="Conversations")
        await expect(side.get_by_role("heading").first).to_have_text("Pinned")

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
