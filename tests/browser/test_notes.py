"""Notes beside messages: counted, read, written, changed and deleted."""

from playwright.async_api import expect

from conftest import HttpClient
from support.browsing import OpenPage, violations
from support.factories import begin, message
from support.granting import at, grant

SAID = [message("Which fjord first?", id="q"), message("Geiranger.", "assistant", id="a")]


class TestNotes:
    async def test_are_written_changed_and_deleted_by_keyboard(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await grant(alice, made, "bob", "commenter")
        await bob.post(at(made, "/notes"), json={"message_id": "a", "content": "Is it <b>so</b>?"})
        page = await open_page(f"/c/{made['id']}", client=alice)
        opener = page.get_by_role("button", name="1 note", exact=True)
        await opener.focus()
        await page.keyboard.press("Enter")
        panel = page.get_by_role("complementary", name="Notes")
        field = panel.get_by_label("New note")
        await expect(field).to_be_focused()
        await expect(panel.get_by_role("article", name="bob")).to_contain_text("Is it <b>so</b>?")
        await expect(panel.get_by_role("button", name="Edit the note")).to_have_count(0)

        await field.fill("It is.")
        await expect(panel.get_by_role("button", name="Add the note")).to_be_enabled()
        await page.keyboard.press("Control+Enter")
        mine = panel.get_by_role("article", name="You")
        await expect(mine).to_contain_text("It is.")
        await expect(field).to_have_value("")
        await panel.get_by_role("button", name="Edit the note").click()
        await panel.get_by_label("Text of the note").fill("It is, since May.")
        await expect(panel.get_by_role("button", name="Save")).to_be_enabled()
        await page.keyboard.press("Control+Enter")
        await expect(mine).to_contain_text("It is, since May.")
        assert await violations(page) == []

        await panel.get_by_role("button", name="Delete the note by bob").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(panel.get_by_role("article")).to_have_count(1)
        [left] = (await (await bob.get(at(made, "/notes"))).json())["notes"]
        assert left["content"] == "It is, since May."
        await field.fill("Half a thought")
        await page.keyboard.press("Escape")
        await expect(panel).to_have_count(0)
        await expect(opener).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(field).to_have_value("Half a thought")

    async def test_of_others_appear_and_go_without_a_reload(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await grant(alice, made, "bob", "commenter")
        page = await open_page(f"/c/{made['id']}", client=bob)
        await page.get_by_role("button", name="Write a note", exact=True).last.click()
        panel = page.get_by_role("complementary", name="Notes")
        note = {"message_id": "a", "content": "Hers"}
        written = await (await alice.post(at(made, "/notes"), json=note)).json()
        await expect(panel.get_by_role("article")).to_contain_text("Hers")
        path = at(made, f"/notes/{written['id']}")
        await alice.patch(path, json={"content": "Hers, and new"})
        await expect(panel.get_by_role("article")).to_contain_text("Hers, and new")

        await panel.get_by_label("New note").fill("Mine")
        await panel.get_by_role("button", name="Add the note").click()
        await expect(panel.get_by_role("article")).to_have_count(2)
        await alice.delete(path)
        await expect(panel.get_by_role("article")).to_have_count(1)
        await expect(panel.get_by_role("article")).to_contain_text("Mine")

    async def test_are_in_a_dialog_on_a_phone_and_only_read_by_viewers(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await grant(alice, made, "bob")
        await alice.post(at(made, "/notes"), json={"message_id": "a", "content": "Hers"})
        phone = {"width": 320, "height": 640}
        page = await open_page(f"/c/{made['id']}", client=bob, viewport=phone)
        await page.get_by_role("button", name="1 note", exact=True).click()

        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_role("article", name="alice")).to_contain_text("Hers")
        await expect(dialog.get_by_role("textbox")).to_have_count(0)
        await expect(dialog.get_by_role("button", name="Delete")).to_have_count(0)
        assert await violations(page) == []
        await dialog.get_by_role("button", name="Close the notes").click()
        await expect(page.get_by_role("button", name="1 note", exact=True)).to_be_focused()
