"""A person signs in, asks, reads the answer as it comes, stops it, and asks again."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from conftest import SignIn
from support.browsing import OpenPage, ask, ask_first_again, is_answered, said
from support.factories import PASSWORD
from support.fake_model import FakeModel, ScriptedAnswer
from support.inserting import insert_conversations

ADDRESS = re.compile(r"/c/[0-9a-f]{24}$")


class TestAccount:
    async def test_can_be_created_and_signed_in_and_out(
        self, open_page: OpenPage, database: Any
    ) -> None:
        page = await open_page()
        await page.get_by_role("link", name="Create account").click()
        await page.get_by_label("Email").wait_for()
        await page.get_by_label("Username").fill("alice")
        await page.get_by_label("Email").fill("alice@example.com")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Create account").click()
        await expect(page.get_by_label("Message")).to_be_visible()

        await page.get_by_role("button", name="Account: alice").click()
        await page.get_by_role("menuitem", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
        assert await page.evaluate("Object.keys(localStorage)") == []
        assert await database.sessions.count_documents({}) == 0

    async def test_shows_the_services_error_messages(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        await sign_in("alice")
        page = await open_page("/login")
        await page.get_by_label("Username").fill("alice")
        await page.get_by_label("Password", exact=True).fill("wrong")
        await page.get_by_role("button", name="Sign in").click()

        await expect(page.get_by_role("alert")).to_contain_text("password")

    async def test_redirects_to_the_requested_page_after_sign_in(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        await sign_in("alice")
        page = await open_page("/c/0123456789abcdef01234567")
        await page.get_by_label("Username").fill("alice")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()

        await expect(page).to_have_url(re.compile("/c/0123456789abcdef01234567$"))
        await expect(page.get_by_text("it is not yours")).to_be_visible()

    async def test_asks_for_sign_in_over_the_page_after_expiry(
        self, page: Page, database: Any
    ) -> None:
        async def expire(route: Route) -> None:
            await database.sessions.delete_many({})
            await route.continue_()

        # Not before it is sent: what the page reads, and its live connection, would notice it, too.
        await page.route("**/conversations", expire, times=1)
        await ask(page, "Is anybody there?")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()

        await expect(page).to_have_url(ADDRESS)
        await expect(said(page, "Answer 1.")).to_be_visible()
        assert await database.conversations.count_documents({}) == 1


async def test_thoughts_show_while_the_model_thinks_and_stay_folded(
    page: Page, fake_model: FakeModel
) -> None:
    gate = asyncio.Event()
    thinking = [{"reasoning_content": "Let me "}, {"reasoning_content": "<b>see</b>."}]
    fake_model.say(ScriptedAnswer(chunks=["Four."], reasoning=thinking, gate=gate, ungated=0))
    await ask(page, "2 + 2?")
    live = page.locator("article.live")
    await live.get_by_text("Thoughts").click()
    await expect(live.get_by_role("region", name="Thoughts")).to_have_text("Let me <b>see</b>.")

    gate.set()
    await expect(said(page, "Four.")).to_be_visible()
    await expect(live).to_have_count(0)
    await page.get_by_text("Thoughts").click()
    await expect(page.get_by_role("region", name="Thoughts")).to_have_text("Let me <b>see</b>.")


class TestConversation:
    async def test_starts_with_a_message_and_shows_the_streamed_answer(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(
            ScriptedAnswer(chunks=["# Fjords\n\nThe **Geiranger", "fjord** first."], gate=gate)
        )
        await ask(page, "Which one?")

        await expect(page).to_have_url(ADDRESS)
        await expect(page.locator("strong")).to_have_text("Geiranger")
        await expect(page.get_by_role("button", name="Stop")).to_be_visible()
        gate.set()
        await expect(page.locator("strong")).to_have_text("Geirangerfjord")
        await expect(page.get_by_role("heading", name="Fjords")).to_be_visible()
        await expect(page.get_by_role("button", name="Send")).to_be_visible()
        # The title comes behind the answer.
        await expect(page.get_by_role("link", name="A fine title")).to_be_visible()

    async def test_stops_an_answer_and_keeps_its_text(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        fake_model.say(ScriptedAnswer(chunks=["So far", " and more"], gate=asyncio.Event()))
        await ask(page, "Tell me")
        await expect(said(page, "So far")).to_be_visible()
        await page.get_by_role("button", name="Stop").click()

        await expect(page.get_by_text("Stopped")).to_be_visible()
        await expect(said(page, "So far")).to_be_visible()

    async def test_regenerates_an_answer_and_keeps_the_earlier_one(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        fake_model.say("The first answer.", "The second answer.")
        await ask(page, "Tell me")
        await expect(said(page, "The first answer.")).to_be_visible()
        await page.get_by_role("button", name="Answer again").click()
        await expect(said(page, "The second answer.")).to_be_visible()
        await expect(said(page, "The first answer.")).to_have_count(0)
        await expect(page.get_by_text("2 / 2")).to_be_visible()
        await page.get_by_role("button", name="Earlier branch").click()

        await expect(said(page, "The first answer.")).to_be_visible()
        await expect(page.get_by_text("1 / 2")).to_be_visible()

    @pytest.mark.long
    async def test_resumes_an_answer_after_a_reload(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["One", " two", " three."], gate=gate))
        await ask(page, "Count")
        await expect(said(page, "One")).to_be_visible()
        await page.reload()
        await expect(said(page, "One")).to_be_visible()
        gate.set()

        await expect(said(page, "One two three.")).to_be_visible()
        await expect(page.get_by_role("button", name="Send")).to_be_visible()

    async def test_shows_why_an_answer_failed_and_retries(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        fake_model.say(ScriptedAnswer(status=401), "Now it works.")
        await ask(page, "Tell me")
        alert = page.get_by_role("alert")
        await expect(alert).to_be_visible()
        await alert.get_by_role("button", name="Try again").click()

        await expect(said(page, "Now it works.")).to_be_visible()
        await expect(alert).to_have_count(0)

    async def test_edits_a_question_and_gets_a_new_answer(
        self, page: Page, fake_model: FakeModel, database: Any
    ) -> None:
        fake_model.say("To the first.", "To the second.")
        await ask(page, "Frist question")
        await expect(said(page, "To the first.")).to_be_visible()
        await ask_first_again(page, "Second question")

        await expect(said(page, "To the second.")).to_be_visible()
        assert fake_model.asked[-1][-1] == ("user", "Second question")

    async def test_deletes_a_message_after_confirmation(
        self, page: Page, fake_model: FakeModel
    ) -> None:
        fake_model.say("An answer.")
        await ask(page, "A question")
        await expect(said(page, "An answer.")).to_be_visible()
        await is_answered(page)
        question = page.get_by_role("article").first
        await question.hover()
        await question.get_by_role("button", name="Delete").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()

        await expect(page.get_by_text("A question")).to_have_count(0)
        await expect(said(page, "An answer.")).to_be_visible()


class TestSending:
    async def test_keeps_a_draft_through_a_reload(self, page: Page) -> None:
        await page.get_by_label("Message").fill("Not sent yet")
        await page.reload()

        await expect(page.get_by_label("Message")).to_have_value("Not sent yet")

    async def test_inserts_a_line_break_with_shift_enter(self, page: Page) -> None:
        await page.get_by_label("Message").fill("One")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("two")

        await expect(page.get_by_label("Message")).to_have_value("One\ntwo")

    async def test_sends_a_message_written_offline_once(
        self, page: Page, fake_model: FakeModel, database: Any
    ) -> None:
        await ask(page, "First")
        await expect(said(page, "Answer 1.")).to_be_visible()
        await page.context.set_offline(True)
        await ask(page, "Written on a train")
        await expect(page.get_by_text("Waiting for the connection")).to_be_visible()
        await page.context.set_offline(False)

        await expect(said(page, "Answer 2.")).to_be_visible()
        [stored] = await database.conversations.find().to_list()
        assert [each["content"] for each in stored["messages"]].count("Written on a train") == 1

    async def test_sends_once_if_the_response_is_lost(
        self, page: Page, fake_model: FakeModel, database: Any
    ) -> None:
        # The service takes it, and the browser never hears so.
        async def cut(route: Any) -> None:
            await route.fetch()
            await route.abort()

        await page.route("**/conversations", cut, times=1)
        await ask(page, "Only once")
        await expect(said(page, "Answer 1.")).to_be_visible()

        assert await database.conversations.count_documents({}) == 1
        assert len(fake_model.requests) == 1

    async def test_shows_why_a_message_was_refused_and_restores_it(
        self, page: Page, http: Any
    ) -> None:
        async def refuse(route: Any) -> None:
            problem = {"code": "token_limit_reached", "detail": "It does not fit.", "status": 409}
            await route.fulfill(status=409, json=problem, content_type="application/problem+json")

        await page.route("**/conversations", refuse, times=1)
        await ask(page, "Too much")
        await expect(page.get_by_role("alert")).to_contain_text("It does not fit.")
        await page.get_by_role("button", name="Edit").click()

        await expect(page.get_by_label("Message")).to_have_value("Too much")
        await expect(page.get_by_role("alert")).to_have_count(0)


class TestSidebar:
    async def test_renames_archives_and_deletes(self, page: Page, database: Any) -> None:
        await ask(page, "Hello")
        await expect(page.get_by_role("link", name="A fine title")).to_be_visible()
        menu = page.get_by_role("navigation").get_by_role("button", name="Actions for")
        await menu.click()
        await page.get_by_role("menuitem", name="Rename").click()
        await page.get_by_label("Title", exact=True).fill("Another title")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("link", name="Another title")).to_be_visible()

        await menu.click()
        await page.get_by_role("menuitem", name="Archive").click()
        await expect(page.get_by_role("link", name="Another title")).to_have_count(0)
        await page.get_by_role("main").get_by_role("button", name="Bring back").click()
        await expect(page.get_by_role("link", name="Another title")).to_be_visible()

        await menu.click()
        await page.get_by_role("menuitem", name="Delete").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(page.get_by_role("link", name="Another title")).to_have_count(0)
        assert await database.conversations.count_documents({"status": {"$ne": "deleted"}}) == 0

    async def test_asks_which_of_two_conflicting_titles_to_keep(
        self, page: Page, sign_in: SignIn, database: Any
    ) -> None:
        await ask(page, "Hello")
        await expect(page.get_by_role("link", name="A fine title")).to_be_visible()
        await expect(page.get_by_role("heading", name="A fine title")).to_be_visible()
        await expect(page.get_by_role("button", name="Answer again")).to_be_visible()
        update = {"$set": {"title": "From elsewhere"}, "$inc": {"version": 1}}
        await database.conversations.update_one({}, update)
        await page.get_by_role("main").get_by_role("button", name="Actions for").click()
        await page.get_by_role("menuitem", name="Rename").click()
        await page.get_by_label("Title", exact=True).fill("Mine")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("“From elsewhere”")).to_be_visible()
        await page.get_by_role("button", name="Use mine").click()

        await expect(page.get_by_role("link", name="Mine")).to_be_visible()
        assert (await database.conversations.find_one())["title"] == "Mine"

    async def test_renders_a_few_of_thousands(self, open_page: OpenPage, sign_in: SignIn) -> None:
        client = await sign_in("alice")
        await insert_conversations("alice", 250)
        page = await open_page(client=client)
        rows = page.get_by_role("navigation").get_by_role("link", name=re.compile("^Conversation "))
        await expect(page.get_by_text("250 conversations")).to_be_visible()

        assert await rows.count() < 60
        await rows.first.hover()
        oldest = page.get_by_title("Conversation 0", exact=True)
        while not await oldest.count():
            await page.mouse.wheel(0, 8000)
            await page.wait_for_timeout(50)
        await expect(oldest).to_be_visible()
        assert await rows.count() < 60
