"""Reading: a day of a long conversation, an answer that is heard, a tab that nobody looks at."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, Request, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, submit, violations
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer

# What is said last, and by which pieces.
HEARD = """
window.heard = [];
new MutationObserver(changes => {
  for (const change of changes) for (const each of change.addedNodes) heard.push(each.textContent);
}).observe(document.querySelector('[aria-live=polite][data-answer]'), {childList: true});
"""


@pytest.fixture
async def made(sign_in: SignIn) -> tuple[HttpClient, str]:
    """Messages of forty days, three a day; none of them on the 11th of March."""
    client = await sign_in("alice")
    days = [f"2026-{3 + day // 28:02}-{day % 28 + 1:02}" for day in range(40) if day != 10]
    messages = [
        message(f"Of {day}, {number}.", timestamp=f"{day}T{8 + number:02}:00:00Z")
        for day in days
        for number in range(3)
    ]
    conversation = await begin(client, title="Long", messages=messages)
    return client, f"/c/{conversation['id']}"


async def show(page: Page, *states: str) -> None:
    """Hide the page, or look at it again, or one at once after the other."""
    await page.evaluate(
        "states => { for (const state of states) {"
        " Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); } }",
        states,
    )


class TestGoTo:
    async def test_reaches_a_day_by_keyboard(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        client, path = made
        page = await open_page(path, client=client)
        await expect(page.get_by_text("Of 2026-04-12, 2.")).to_be_in_viewport()
        await page.get_by_role("log").focus()
        await page.keyboard.press("g")
        await expect(page.get_by_label("Day", exact=True)).to_be_focused()
        await page.keyboard.type("03052026")
        await page.keyboard.press("Enter")

        first = page.get_by_role("article").filter(has_text="Of 2026-03-05, 0.")
        await expect(first).to_be_in_viewport()
        await expect(first).to_be_focused()
        await expect(page.get_by_text("Of 2026-04-12, 2.")).to_have_count(0)
        await page.keyboard.press("j")
        await expect(page.get_by_role("article").filter(has_text="03-05, 1.")).to_be_focused()

    @pytest.mark.long
    async def test_reaches_the_next_day_with_messages(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        client, path = made
        page = await open_page(path, client=client)
        await page.get_by_role("button", name="Go to a place").click()
        await page.get_by_label("Day", exact=True).fill("2026-03-11")
        await page.get_by_role("button", name="Go to the day").click()

        await expect(page.get_by_text("Of 2026-03-12, 0.")).to_be_in_viewport()
        await expect(page.get_by_text("This is of Mar 12, 2026.")).to_be_visible()

    @pytest.mark.long
    async def test_reaches_the_first_and_the_newest_message(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        client, path = made
        page = await open_page(path, client=client)
        for button, words in (
            ("First message", "Of 2026-03-01, 0."),
            ("Newest message", "Of 2026-04-12, 2."),
        ):
            await page.get_by_role("button", name="Go to a place").click()
            await page.get_by_role("button", name=button, exact=True).click()
            await expect(page.get_by_text(words)).to_be_in_viewport()

    async def test_reaches_a_message_by_its_number_and_a_question_by_its_words(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        client, path = made
        page = await open_page(path, client=client)
        await page.get_by_role("button", name="Go to a place").click()
        await page.get_by_label("Message number").fill("7")
        await page.keyboard.press("Enter")
        seventh = page.get_by_role("article").filter(has_text="Of 2026-03-03, 0.")
        await expect(seventh).to_be_focused()
        await expect(seventh).to_be_in_viewport()

        await page.keyboard.press("g")
        outline = page.get_by_role("region", name="Your messages")
        current = outline.get_by_role("button", name="Of 2026-03-03, 0.")
        await expect(current).to_have_attribute("aria-current", "true")
        assert await violations(page) == []
        await outline.get_by_role("button", name="Of 2026-03-02, 1.").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        found = page.get_by_role("article").filter(has_text="Of 2026-03-02, 1.")
        await expect(found).to_be_focused()


class TestScreenReader:
    @pytest.mark.long
    async def test_announces_an_answer_by_sentences(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        sentence = ["The ", "**first** ", "sentence ", "is ", "here. ", "The ", "second "]
        fake_model.say(ScriptedAnswer(chunks=[*sentence, "ends too."], gate=gate))
        await ask(page, "Tell me")
        region = page.locator("[aria-live=polite][data-answer]")
        await region.wait_for(state="attached")
        await page.evaluate(HEARD)
        gate.set()
        await expect(region).to_contain_text("The second ends too.")

        # Outside of what is never read out by itself.
        assert await page.locator("[role=log] [data-answer]").count() == 0
        heard = await page.evaluate("heard")
        assert " ".join(heard) == "The first sentence is here. The second ends too."
        assert len(heard) <= 2
        await expect(region).to_be_empty()

    async def test_announces_a_long_answer_in_pieces(
        self, open_page: OpenPage, sign_in: SignIn, fake_model: FakeModel
    ) -> None:
        client = await sign_in("alice")
        conversation = await begin(client, messages=[message("Hi"), message("Ho", "assistant")])
        page = await open_page(f"/c/{conversation['id']}", client=client)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["One. Tw", "o. Three."], gate=gate))
        await page.get_by_role("log").wait_for()
        await page.evaluate(HEARD)
        await ask(page, "Count")
        region = page.locator("[aria-live=polite][data-answer]")
        await expect(region).to_have_text("One.")
        gate.set()
        await expect(region).to_contain_text("Three.")

        assert await page.evaluate("heard") == ["One.", "Two. Three."]


class TestHiddenTab:
    async def test_closes_its_stream_and_resumes_it(
        self, open_page: OpenPage, sign_in: SignIn, fake_model: FakeModel, database: Any
    ) -> None:
        client = await sign_in("alice")
        conversation = await begin(client, messages=[message("Hi"), message("Ho", "assistant")])
        page = await open_page(f"/c/{conversation['id']}", client=client)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["One", " two", " three."], gate=gate))
        log = page.get_by_role("log")

        def is_stream(request: Request) -> bool:
            return request.url.endswith(("/replies", "/events"))

        await ask(page, "Count")
        await expect(log.get_by_text("One")).to_be_visible()
        # The stream of the answer itself, and then the one by which it is taken up.
        async with page.expect_event("requestfailed", is_stream):
            await show(page, "hidden")
        async with page.expect_request(is_stream):
            await show(page, "visible")
        await expect(log.get_by_text("One")).to_be_visible()
        async with page.expect_event("requestfailed", is_stream):
            await show(page, "hidden")
        gate.set()
        await asyncio.sleep(0.3)
        await show(page, "visible")

        await expect(log.get_by_text("One two three.")).to_be_visible()
        await expect(page.get_by_role("button", name="Send")).to_be_visible()
        assert len(fake_model.requests) == 1
        stored = await database.conversations.find_one({})
        assert [each["content"] for each in stored["messages"]][2:] == ["Count", "One two three."]

    async def test_keeps_its_stream_if_hidden_briefly(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["One", " two."], gate=gate))
        followed: list[str] = []
        page.on("request", lambda request: followed.append(request.url))
        await ask(page, "Count")
        await expect(page.get_by_role("log").get_by_text("One")).to_be_visible()
        followed.clear()
        # After two seconds it would close its stream.
        await show(page, "hidden", "visible")
        gate.set()

        await expect(page.get_by_role("log").get_by_text("One two.")).to_be_visible()
        assert not [url for url in followed if url.endswith("/events")]


class TestSlowNetwork:
    async def test_shows_pending_requests_and_sends_once(
        self, open_page: OpenPage, sign_in: SignIn, fake_model: FakeModel, database: Any
    ) -> None:
        client = await sign_in("alice")
        conversation = await begin(client, messages=[message("Hi"), message("Ho", "assistant")])
        page = await open_page("/health", client=client, own=True)
        session = await page.context.new_cdp_session(page)
        await session.send("Network.enable")
        slow = {"offline": False, "latency": 700, "downloadThroughput": 64_000}
        await session.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": 8_000})
        sent: list[str] = []
        page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))

        opening = asyncio.create_task(page.goto(f"/c/{conversation['id']}"))
        await expect(page.get_by_role("main").locator("[aria-busy=true]")).to_be_visible()
        await opening
        await expect(page.get_by_text("Ho", exact=True)).to_be_visible()
        box = page.get_by_label("Message")
        await box.fill("Only once")
        await submit(page, "Send")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Sending…")).to_be_visible()
        await expect(page.get_by_text("Only once")).to_be_visible()
        await box.fill("What I write meanwhile")
        await expect(page.get_by_role("log").get_by_text("Answer 1.")).to_be_visible()

        await expect(box).to_have_value("What I write meanwhile")
        assert len(fake_model.requests) == 1
        assert len([each for each in sent if each.startswith("POST")]) == 1
        stored = await database.conversations.find_one({})
        assert [each["content"] for each in stored["messages"]][2:] == ["Only once", "Answer 1."]
        await page.reload()
        await expect(box).to_have_value("What I write meanwhile")
        await expect(page.get_by_text("Only once")).to_have_count(1)
