"""The languages of the page: which one it is in, and a change of it."""

import re

import pytest
from playwright.async_api import expect

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.browsing import OpenPage
from support.factories import PASSWORD, begin, message

# Keeps everything that the page has ever shown.
WATCH = """
window.shown = '';
new MutationObserver(() => { window.shown += document.body?.innerText ?? ''; })
  .observe(document, {subtree: true, childList: true, characterData: true});
"""
# How wide the page is, also where what sticks out is cut off or scrolled.
WIDEST = """
Math.max(...[document.documentElement, ...document.querySelectorAll('main')].map(
  each => each.getBoundingClientRect().left + each.scrollWidth))
"""
NARROW = {"width": 320, "height": 720}
# Pages with much text, and what is there once they are drawn.
PAGES = [
    ("/c/{id}", "article"),
    ("/library", "td"),
    ("/assistants", "li.card"),
    ("/review", "td"),
    ("/settings", "fieldset"),
    ("/settings/exports", "fieldset"),
]
MORE_PAGES = [
    ("/", "textarea"),
    ("/c/{id}/print", "article"),
    ("/find?q=fjords", "mark"),
    ("/move", "label"),
    ("/review/users", "td"),
    ("/review/usage", "select"),
    ("/settings/order", "li .icon-button"),
    ("/settings/account", "form"),
    ("/settings/sessions", "li"),
    ("/settings/keys", "fieldset"),
    ("/settings/tools", ".card"),
    ("/settings/data", "dd"),
    ("/settings/usage", "dd"),
]


class TestLanguage:
    async def test_is_the_browsers_until_one_is_chosen(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        await begin(client, title="Fjords", messages=[message("Which?")])
        page = await open_page("/login", locale="de-DE")
        html = page.locator("html")
        await expect(html).to_have_attribute("lang", "de")
        await page.get_by_label("Benutzername").fill("alice")
        await page.get_by_label("Passwort", exact=True).fill("wrong-password")
        await page.get_by_role("button", name="Anmelden").click()
        await expect(page.get_by_text("Benutzername oder Passwort ist falsch.")).to_be_visible()
        await page.get_by_label("Passwort", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Anmelden").click()
        await expect(page.get_by_text("1 Unterhaltung", exact=True)).to_be_visible()
        preferences = await (await client.get("/users/me/preferences")).json()
        assert preferences["language"] == "en"

        await page.goto("/settings")
        await expect(page.get_by_label("Wie im Browser")).to_be_checked()
        await page.evaluate("window.isSamePage = true")
        await page.get_by_label("简体中文").click()
        await expect(page.get_by_role("heading", name="设置")).to_be_visible()
        await expect(html).to_have_attribute("lang", "zh-Hans")
        assert await page.evaluate("window.isSamePage")
        await expect(page.get_by_text("1 个对话", exact=True)).to_be_visible()
        preferences = await (await client.get("/users/me/preferences")).json()
        assert preferences["language"] == "zh"
        await page.get_by_role("link", name="账号", exact=True).click()
        # The day that the account was made.
        await expect(page.locator("dd").last).to_have_text(re.compile(r"^\d{4}年\d+月\d+日$"))

        await page.add_init_script(WATCH)
        await page.goto("/library")
        await page.get_by_role("heading", name="资料库").wait_for()
        shown = await page.evaluate("window.shown")
        assert "资料库" in shown
        assert "Library" not in shown
        assert "Bibliothek" not in shown

        await page.goto("/settings")
        await page.get_by_label("跟随浏览器").click()
        await expect(html).to_have_attribute("lang", "de")

    async def test_is_taken_from_preferences_of_other_programs(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        await client.patch("/users/me/preferences", json={"language": "fr-CA"})
        page = await open_page(client=client)
        await page.get_by_label("Message").wait_for()
        await expect(page.locator("html")).to_have_attribute("lang", "fr")

        await client.patch("/users/me/preferences", json={"language": "es"})
        await expect(page.locator("html")).to_have_attribute("lang", "es")
        await expect(page.get_by_label("Mensaje")).to_be_visible()

    async def test_is_that_of_readers_without_an_account(self, open_page: OpenPage) -> None:
        page = await open_page("/s/nothing", locale="fr-FR")
        await expect(page.get_by_text("Ce lien ne fonctionne pas")).to_be_visible()
        await expect(page.locator("html")).to_have_attribute("lang", "fr")


@pytest.fixture
async def reader(sign_in: SignIn) -> HttpClient:
    client = await sign_in("alice", role=Role.ADMIN)
    await client.post("/categories", json={"name": "Journeys"})
    said = [message("Which fjords?"), message("All of them.", "assistant")]
    await begin(client, title="Fjords", messages=said, tags=["travel"])
    return client


class TestLongWords:
    """Whether German, which has the longest ones, fits on a narrow phone."""

    @pytest.mark.parametrize(
        "pages", [PAGES, pytest.param(MORE_PAGES, marks=pytest.mark.long)], ids=["some", "more"]
    )
    async def test_make_no_page_wider_than_the_screen(
        self, open_page: OpenPage, reader: HttpClient, pages: list[tuple[str, str]]
    ) -> None:
        [made] = await (await reader.get("/conversations")).json()
        page = await open_page("/health", client=reader, locale="de-DE", viewport=NARROW)
        wide = {}
        for path, landmark in pages:
            await page.goto(path.format(id=made["id"]))
            await page.locator(landmark).first.wait_for()
            if (width := await page.evaluate(WIDEST)) > NARROW["width"]:
                wide[path] = width
        assert wide == {}
