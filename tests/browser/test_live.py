"""Changes on other devices: shown within a blink, in every tab, and never over what is typed."""

from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, said
from support.factories import begin, message
from support.talking import until


async def say(client: HttpClient, conversation: dict[str, Any], words: str, role: str) -> None:
    """Append a message, as another device does."""
    path = f"/conversations/{conversation['id']}/messages"
    assert (await client.post(path, json=message(words, role))).status == 200


async def change(client: HttpClient, conversation: dict[str, Any], **fields: object) -> None:
    """Change a conversation, as another device does."""
    path = f"/conversations/{conversation['id']}"
    assert (await client.patch(path, json=fields)).status == 200


def count_sockets(page: Page) -> list[str]:
    """Return the addresses of the sockets that a page opens from now on."""
    found: list[str] = []
    page.on("websocket", lambda socket: found.append(socket.url))
    return found


class TestOtherDevice:
    async def test_changes_the_lists_at_once(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice")
        first = await begin(client, title="First")
        await begin(client, title="Second")
        page = await open_page("/library", client=client)
        stranger = await open_page(client=await sign_in("bob"))
        rows = page.get_by_role("navigation").get_by_role("link")
        cells = page.locator("td.title a")
        await expect(cells).to_have_text(["Second", "First"])

        third = await begin(client, title="Third")
        await expect(cells).to_have_text(["Third", "Second", "First"])
        await change(client, first, title="Renamed")
        await expect(cells).to_have_text(["Renamed", "Third", "Second"])
        await expect(rows.filter(has_text="Renamed")).to_be_visible()
        archive = f"/conversations/{first['id']}/archive"
        assert (await client.post(archive, json={"archived": True})).status == 200
        await expect(rows.filter(has_text="Renamed")).to_have_count(0)
        await client.delete(f"/conversations/{third['id']}")
        await expect(rows.filter(has_text="Third")).to_have_count(0)
        await expect(cells).to_have_text(["Renamed", "Second"])
        await client.patch("/users/me/preferences", json={"theme": "dark"})
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")

        nothing = stranger.get_by_text("Renamed").or_(stranger.get_by_text("Second"))
        await expect(nothing).to_have_count(0)
        await expect(stranger.locator("html")).not_to_have_attribute("data-theme", "dark")

    @pytest.mark.long
    async def test_changes_exports_keys_and_assistants_at_once(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        await begin(client, title="First", messages=[message()])
        exports = await open_page("/settings/exports", client=client)
        keys = await open_page("/settings/keys", client=client)
        assistants = await open_page("/assistants", client=client)
        await expect(exports.get_by_text("None was made in the background yet.")).to_be_visible()
        await assistants.get_by_role("button", name="New assistant").click()
        await assistants.get_by_label("Name").fill("Half a na")
        asked: list[str] = []
        exports.on("request", lambda request: asked.append(request.url))

        job = await (await client.post("/exports", json={"format": "json"})).json()
        wanted = {"name": "Backup", "scopes": ["export"]}
        key = await (await client.post("/auth/keys", json=wanted)).json()
        agent = await (await client.post("/agents", json={"name": "Guide"})).json()

        await expect(exports.locator("a[download]")).to_be_visible()
        await expect(keys.get_by_text("Backup")).to_be_visible()
        await expect(assistants.get_by_text("Guide")).to_have_count(1)
        await expect(assistants.get_by_label("Name")).to_have_value("Half a na")
        await client.delete(f"/exports/{job['id']}")
        await client.delete(f"/auth/keys/{key['id']}")
        await client.delete(f"/agents/{agent['id']}")
        await expect(exports.locator("a[download]")).to_have_count(0)
        await expect(keys.get_by_text("Backup")).to_have_count(0)
        await expect(assistants.get_by_text("Guide")).to_have_count(0)
        # Once for each thing that happened, and not again and again.
        assert len([url for url in asked if url.endswith("/exports")]) <= 5

    async def test_does_not_disturb_what_is_typed(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        made = await begin(client, title="Shared", messages=[message("Mine"), message("Hers")])
        page = await open_page(f"/c/{made['id']}", client=client)
        mine = page.get_by_role("article").filter(has_text="Mine")
        await mine.hover()
        await mine.get_by_role("button", name="Edit").click()
        await page.get_by_role("textbox", name="Edit").fill("Half an ed")
        await page.get_by_label("Message", exact=True).fill("Half a sen")

        await say(client, made, "From elsewhere", "assistant")
        await expect(said(page, "From elsewhere")).to_be_visible()
        read = await (await client.get(f"/conversations/{made['id']}/messages")).json()
        edited, removed = read["messages"][:2]
        path = f"/conversations/{made['id']}/messages"
        await client.patch(f"{path}/{edited['id']}", json={"content": "Changed there"})
        await expect(said(page, "Changed there")).to_be_visible()
        await client.delete(f"{path}/{removed['id']}")
        await expect(said(page, "Hers")).to_have_count(0)
        await client.delete(f"{path}/{edited['id']}")
        await change(client, made, title="New title")
        await expect(page.get_by_role("heading", name="New title")).to_be_visible()
        await client.delete(f"/conversations/{made['id']}")
        await expect(page.get_by_text("was deleted elsewhere")).to_be_visible()

        await expect(page.get_by_role("textbox", name="Edit")).to_have_value("Half an ed")
        await expect(page.get_by_label("Message", exact=True)).to_have_value("Half a sen")
        await expect(page.get_by_label("Message", exact=True)).to_be_focused()


class TestTabs:
    async def test_share_one_connection(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice")
        made = await begin(client, title="Shared", messages=[message("Hi")])
        first = await open_page("/health", client=client)
        sockets = count_sockets(first)
        await first.goto(f"/c/{made['id']}")
        await expect(said(first, "Hi")).to_be_visible()
        second = await first.context.new_page()
        more = count_sockets(second)
        await second.goto(f"/c/{made['id']}")
        await expect(said(second, "Hi")).to_be_visible()

        await say(client, made, "For both", "assistant")
        for page in (first, second):
            await expect(said(page, "For both")).to_be_visible()
        assert (len(sockets), more) == (1, [])

        await first.close()
        await say(client, made, "For the one that is left", "user")
        await expect(said(second, "For the one that is left")).to_be_visible()
        assert len(more) == 1
        assert "after=" in more[0]


class TestConnection:
    async def test_misses_nothing_while_offline(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice")
        made = await begin(client, title="Train", messages=[message("Hi")])
        page = await open_page(f"/c/{made['id']}", client=client)
        await say(client, made, "Before", "assistant")
        await expect(said(page, "Before")).to_be_visible()

        await page.context.set_offline(True)
        await say(client, made, "Meanwhile", "user")
        await change(client, made, title="Tunnel")
        await page.context.set_offline(False)
        await expect(said(page, "Meanwhile")).to_be_visible()
        await expect(page.get_by_role("heading", name="Tunnel")).to_be_visible()

    async def test_reads_again_what_is_shown_after_a_reset(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        made = await begin(client, title="Long ago", messages=[message("Hi")])
        opened: list[WebSocketRoute] = []
        page = await open_page("/health", client=client)

        def keep(socket: WebSocketRoute) -> None:
            opened.append(socket)

        # A service that has forgotten the events since.
        await page.route_web_socket("**/ws", keep)
        await page.goto(f"/c/{made['id']}")
        await expect(said(page, "Hi")).to_be_visible()
        await until(lambda: opened)
        await say(client, made, "Forgotten", "assistant")
        await begin(client, title="Another")

        opened[0].send('{"type": "reset", "id": "82", "since": null}')
        await expect(said(page, "Forgotten")).to_be_visible()
        await expect(page.get_by_title("Another")).to_be_visible()

    async def test_ends_with_the_session(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice")
        page = await open_page(client=client)
        await begin(client, title="Fjords")
        await expect(page.get_by_title("Fjords")).to_be_visible()
        await client.post("/auth/logout")
        await expect(page.get_by_role("dialog")).to_contain_text("alice")
