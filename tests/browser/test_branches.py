"""Branches in the thread: chosen, made by another answer, and by asking again."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, ask_first_again, said, violations
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer


@pytest.fixture
async def branched(sign_in: SignIn) -> tuple[HttpClient, str]:
    """A question after sixty messages, and three answers with what followed; the last is shown."""
    client = await sign_in("alice")
    before = [message(f"Before {number}.", id=f"b{number}") for number in range(60)]
    made = await begin(client, title="Fjords", messages=[*before, message("Which?", id="q")])
    for name in ("first", "second", "third"):
        said = [
            message(f"The {name} answer.", "assistant", id=name, parent_id="q"),
            *[message(f"After the {name}, {number}.") for number in range(50)],
        ]
        path = f"/conversations/{made['id']}/messages:batch"
        assert (await client.post(path, json={"messages": said})).status == 200
    return client, made["id"]


def switcher(page: Page) -> Locator:
    return page.get_by_role("group", name="Branches")


async def top_of(page: Page, words: str) -> float:
    box = await page.get_by_role("article").filter(has_text=words).bounding_box()
    assert box
    return box["y"]


class TestSwitcher:
    async def test_shows_another_branch_without_scrolling(
        self, open_page: OpenPage, branched: tuple[HttpClient, str]
    ) -> None:
        client, made = branched
        page = await open_page(f"/c/{made}#163", client=client)
        await expect(switcher(page)).to_contain_text("3 / 3")
        answer = page.get_by_role("article").filter(has_text="The third answer.")
        await answer.evaluate("each => each.scrollIntoView({block: 'center'})")
        at = await top_of(page, "The third answer.")

        await page.get_by_role("button", name="Earlier branch").click()
        await expect(switcher(page)).to_contain_text("2 / 3")
        await expect(said(page, "After the second, 0.")).to_be_visible()
        await expect(said(page, "After the third, 0.")).to_have_count(0)
        assert abs(await top_of(page, "The second answer.") - at) < 2
        # The keyboard stays where it was.
        await expect(page.get_by_role("button", name="Earlier branch")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(switcher(page)).to_contain_text("1 / 3")
        assert abs(await top_of(page, "The first answer.") - at) < 2
        await expect(page.get_by_role("button", name="Earlier branch")).to_be_disabled()
        await expect(page.get_by_role("button", name="Later branch")).to_be_focused()
        assert await violations(page) == []

        stored = await (await client.get(f"/conversations/{made}")).json()
        assert stored["messages"][-1]["content"] == "After the first, 49."

    async def test_makes_no_request_without_branches(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        made = await begin(client, messages=[message("Hi"), message("Ho", "assistant")])
        page = await open_page("/health", client=client)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"/c/{made['id']}")
        await expect(said(page, "Ho")).to_be_visible()
        await page.wait_for_load_state("networkidle")

        assert [url for url in asked if url.endswith("/forks")] == []

    async def test_shows_an_error_during_an_answer(
        self, open_page: OpenPage, branched: tuple[HttpClient, str], fake_model: FakeModel
    ) -> None:
        client, made = branched
        page = await open_page(f"/c/{made}", client=client)
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["One", " two."], gate=gate))
        await ask(page, "And?")
        await expect(said(page, "One")).to_be_visible()
        await page.get_by_role("log").evaluate("pane => { pane.scrollTop = 0 }")
        await page.get_by_role("button", name="Earlier branch").click()

        await expect(page.get_by_text("choose another branch then")).to_be_visible()
        await expect(switcher(page)).to_contain_text("3 / 3")
        gate.set()
        await expect(page.get_by_role("button", name="Send")).to_be_visible()

    async def test_shows_the_other_answer_if_one_was_deleted(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        fake_model.say("The first answer.", "The second answer.")
        await ask(page, "Tell me")
        await expect(said(page, "The first answer.")).to_be_visible()
        await page.get_by_role("button", name="Answer again").click()
        await expect(switcher(page)).to_contain_text("2 / 2")
        await page.get_by_role("article").last.get_by_role("button", name="Delete").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await page.get_by_role("button", name="Show the other branch").click()

        await expect(said(page, "The first answer.")).to_be_visible()


class TestAskingAgain:
    @pytest.mark.long
    async def test_keeps_the_question_and_its_answers(
        self, page: Page, fake_model: FakeModel, database: Any
    ) -> None:
        fake_model.say("To the first.", "To more.", "To the second.")
        await ask(page, "Frist question")
        await expect(said(page, "To the first.")).to_be_visible()
        await ask(page, "More")
        await expect(said(page, "To more.")).to_be_visible()
        await ask_first_again(page, "First question")

        await expect(said(page, "To the second.")).to_be_visible()
        await expect(said(page, "To more.")).to_have_count(0)
        assert fake_model.asked[-1][1:] == [("user", "First question")]
        await expect(switcher(page)).to_contain_text("2 / 2")
        await page.get_by_role("article").first.hover()
        await page.get_by_role("button", name="Earlier branch").click()
        await expect(said(page, "To more.")).to_be_visible()
        await expect(said(page, "Frist question")).to_be_visible()
        await page.reload()
        await expect(said(page, "To more.")).to_be_visible()
