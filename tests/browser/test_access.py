"""Each page for everybody: axe in both themes and at three widths, and by keyboard alone."""

from itertools import cycle
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, is_answered, said, violations
from support.factories import begin, message
from support.using import insert_usage

ANSWER = """## Heading

Some *words*, `code` and [a link](https://example.org).

| a | b |
|---|---|
| 1 | 2 |

```python
def answer() -> int:
    return 42  # comment
```

$$x^2$$

- [x] done
"""
WIDTHS = [320, 768, 1280]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Themes differ in colours alone, and nothing but widths moves things about.
COLOURS = ["color-contrast", "link-in-text-block"]
# Each colour has arrived at the theme's: one that is inherited sets off later.
DRAWN = """
new Promise(done => {
  let quiet = 0, frames = 0;
  const look = () => {
    quiet = document.getAnimations().length ? 0 : quiet + 1;
    frames += 1;
    quiet < 3 && frames < 60 ? requestAnimationFrame(look) : done();
  };
  look();
})
"""
# How wide the page is, also where what sticks out is cut off or scrolled.
WIDEST = """
Math.max(...[document.documentElement, ...document.querySelectorAll('main')].map(
  each => each.getBoundingClientRect().left + each.scrollWidth))
"""
STRANGERS = [("/login", "form"), ("/register", "form")]
# Each page of a person, and what is there once it is drawn.
PAGES = [
    ("/", "textarea"),
    ("/c/{id}", "article"),
    ("/c/{id}?q=some#1", "[data-find]"),
    ("/c/{id}/print", "article"),
    ("/library", "td"),
    ("/library/shared", ".empty"),
    ("/find?q=fjords", "mark"),
    ("/move", "label"),
    ("/assistants", "li.card"),
    ("/review", "td"),
    ("/review/users", "td"),
    ("/review/usage", "td"),
    ("/review/quotas", "form"),
    ("/review/retention", "input"),
    ("/review/holds", "form"),
    ("/review/health", "dl"),
    ("/settings", "fieldset"),
    ("/settings/order", "li .icon-button"),
    ("/settings/account", "form"),
    ("/settings/sessions", "li"),
    ("/settings/keys", "fieldset"),
    ("/settings/links", ".card"),
    ("/settings/tools", ".card"),
    ("/settings/activity", "td"),
    ("/settings/usage", "dd"),
    ("/settings/exports", "fieldset"),
]


@pytest.fixture
async def reader(sign_in: SignIn) -> HttpClient:
    client = await sign_in("alice", role=Role.ADMIN)
    await insert_usage("alice", (700, 300))
    # No page is wider for it.
    title = "Fjords, and all that there is to say of them in one line"
    category = await (await client.post("/categories", json={"name": "Journeys"})).json()
    order = {"category_id": category["id"], "pinned": True, "metadata": {"color": "teal"}}
    messages = [message("Which?"), message(ANSWER, "assistant")]
    await begin(client, title=title, messages=messages, tags=["travel"], **order)
    return client


async def look(page: Page, path: str, landmark: str, *, at: int | None = None) -> list[str]:
    """Return what is wrong with a page, which is loaded once.

    Args:
        page: where to look.
        path: of the page.
        landmark: what is there once it is drawn.
        at: the width in `WIDTHS` at which all rules are asked in the light theme, and those of
            colours in the dark one; None to ask all rules in each theme at each width.
    """
    found = []
    await page.goto(path)
    await page.locator(landmark).first.wait_for()
    await page.wait_for_load_state("networkidle")
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        await page.evaluate(DRAWN)
        drawn = await page.evaluate(WIDEST)
        if drawn > width:
            found.append(f"{path} {width}: {drawn} pixels wide")
        for scheme in SCHEMES if at in {None, width} else ():
            is_whole = at is None or scheme == "light"
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.evaluate(DRAWN)
            faults = await violations(page, rules=None if is_whole else COLOURS)
            found += [f"{path} {scheme} {width}: {fault}" for fault in faults]
    return found


class TestAccessibility:
    async def test_has_no_fault_on_pages_without_a_session(self, open_page: OpenPage) -> None:
        page = await open_page("/health")
        found = [
            await look(page, path, landmark, at=width)
            for (path, landmark), width in zip(STRANGERS, cycle([320, 1280]), strict=False)
        ]
        assert found == [[]] * len(found)

    # In two, so that they can be looked at side by side.
    @pytest.mark.parametrize("part", [0, 1])
    async def test_has_no_fault_on_pages_with_a_session(
        self, open_page: OpenPage, reader: HttpClient, part: int
    ) -> None:
        [conversation] = await (await reader.get("/conversations")).json()
        page = await open_page("/health", client=reader)
        found = [
            await look(page, path.format(id=conversation["id"]), landmark, at=width)
            for (path, landmark), width in zip(PAGES[part::2], cycle([320, 1280]), strict=False)
        ]
        assert found == [[]] * len(found)

    @pytest.mark.long
    @pytest.mark.parametrize(("path", "landmark"), PAGES)
    async def test_has_no_fault_in_any_theme_and_width(
        self, open_page: OpenPage, reader: HttpClient, path: str, landmark: str
    ) -> None:
        [conversation] = await (await reader.get("/conversations")).json()
        page = await open_page("/health", client=reader)
        path = path.format(id=conversation["id"])
        assert await look(page, path, landmark) == []


class TestKeyboard:
    async def test_suffices_for_a_conversation(self, page: Page) -> None:
        await ask(page, "Hello")
        await expect(said(page, "Answer 1.")).to_be_visible()
        await is_answered(page)
        await page.get_by_role("log").focus()
        await page.keyboard.press("k")
        await expect(page.get_by_role("article").last).to_be_focused()
        await page.keyboard.press("e")
        await expect(page.get_by_role("textbox", name="Edit")).to_be_focused()
        await page.keyboard.press("Escape")
        await page.get_by_role("log").focus()
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.keyboard.press("n")
        await expect(page.get_by_label("Message")).to_be_focused()

    async def test_skips_the_sidebar_to_reach_the_thread(self, page: Page) -> None:
        link = page.get_by_role("link", name="Skip to the conversation")
        await link.focus()
        await expect(link).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main")).to_be_focused()
