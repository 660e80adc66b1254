"""Several at once: two devices, a connection that breaks, another frontend on the same data."""

import asyncio
import re
from typing import Any

from playwright.async_api import expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, said
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer


class TestTwoDevices:
    async def test_show_the_same_answer_and_each_others_messages(
        self, open_page: OpenPage, sign_in: SignIn, fake_model: FakeModel, database: Any
    ) -> None:
        client = await sign_in("alice")
        made = await begin(
            client, title="Shared", messages=[message("Hi"), message("Ho", "assistant")]
        )
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " and whole."], gate=gate), "For the phone.")
        desk = await open_page(f"/c/{made['id']}", client=client)
        phone = await open_page(
            f"/c/{made['id']}", client=client, viewport={"width": 390, "height": 844}
        )
        await expect(phone.get_by_text("Ho", exact=True)).to_be_visible()
        await ask(desk, "From the desk")
        await expect(said(desk, "Half")).to_be_visible()

        await expect(phone.get_by_text("From the desk")).to_be_visible()
        await expect(said(phone, "Half")).to_be_visible()
        gate.set()
        for page in (desk, phone):
            await expect(said(page, "Half and whole.")).to_be_visible()
        await expect(phone.get_by_role("button", name="Send")).to_be_visible()

        await ask(phone, "From the phone")
        await expect(said(phone, "For the phone.")).to_be_visible()
        await expect(said(desk, "For the phone.")).to_be_visible()
        stored = await database.conversations.find_one({})
        words = [each["content"] for each in stored["messages"]]
        assert words[2:] == ["From the desk", "Half and whole.", "From the phone", "For the phone."]


class TestConnection:
    async def test_is_resumed_if_lost_during_an_answer(
        self, open_page: OpenPage, sign_in: SignIn, fake_model: FakeModel, database: Any
    ) -> None:
        client = await sign_in("alice")
        made = await begin(
            client, title="Train", messages=[message("Hi"), message("Ho", "assistant")]
        )
        page = await open_page(f"/c/{made['id']}", client=client)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["One", " two", " three."], gate=gate))
        await ask(page, "Count")
        await expect(said(page, "One")).to_be_visible()
        await page.context.set_offline(True)
        gate.set()
        await asyncio.sleep(0.2)
        await page.context.set_offline(False)

        await expect(said(page, "One two three.")).to_be_visible()
        await expect(page.get_by_role("button", name="Send")).to_be_visible()
        assert len(fake_model.requests) == 1
        stored = await database.conversations.find_one({})
        assert [each["content"] for each in stored["messages"]][2:] == ["Count", "One two three."]


class TestOtherFrontend:
    async def test_works_on_the_same_conversations(
        self, open_page: OpenPage, sign_in: SignIn, fake_model: FakeModel
    ) -> None:
        """The calls that the frontend of the seeds makes, from its own origin."""
        client: HttpClient = await sign_in("alice")
        page = await open_page(client=client)
        await page.get_by_label("Message").wait_for()
        origin = {"Origin": "http://localhost:5173"}
        made = await client.post(
            "/conversations", json={"title": "From the old one"}, headers=origin
        )
        assert made.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        conversation = (await made.json())["id"]
        path = f"/conversations/{conversation}/messages"
        for each in (message("Old question"), message("Old answer", "assistant")):
            assert (await client.post(path, json=each, headers=origin)).status == 200

        await page.get_by_role("link", name="From the old one").first.click()
        await expect(page.get_by_text("Old answer")).to_be_visible()
        await ask(page, "New question")
        await expect(said(page, "Answer 1.")).to_be_visible()
        await expect(page).to_have_url(re.compile(conversation))
        shown = await (await client.get(f"/conversations/{conversation}", headers=origin)).json()
        assert [each["content"] for each in shown["messages"]] == [
            "Old question", "Old answer", "New question", "Answer 1.",
        ]  # fmt: skip
