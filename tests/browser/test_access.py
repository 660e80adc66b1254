"""Each page for everybody: axe in both themes and at three widths, and by keyboard alone."""

from typing import Literal

import pytest
from playwright.async_api import Page, expect

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, violations
from support.factories import begin, message

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
SIZES = [(1280, 800), (768, 900), (320, 640)]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Each page of a person, and what is there once it is drawn.
PAGES = [
    ("/", "textarea"),
    ("/c/{id}", "article"),
    ("/library", "td"),
    ("/assistants", "li.card"),
    ("/review", "td"),
    ("/settings", "fieldset"),
    ("/settings/account", "form"),
    ("/settings/sessions", "li"),
    ("/settings/tools", ".card"),
    ("/settings/activity", "td"),
    ("/settings/usage", "dd"),
]


@pytest.fixture
async def reader(sign_in: SignIn) -> HttpClient:
    client = await sign_in("alice", role=Role.AUDITOR)
    await begin(client, title="Fjords", messages=[message("Which?"), message(ANSWER, "assistant")])
    return client


async def look(page: Page, path: str, landmark: str) -> list[str]:
    """What is wrong with a page in each theme at each width."""
    found = []
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.goto(path)
        await page.locator(landmark).first.wait_for()
        await page.wait_for_load_state("networkidle")
        for width, height in SIZES:
            await page.set_viewport_size({"width": width, "height": height})
            faults = await violations(page)
            drawn = await page.evaluate("document.documentElement.scrollWidth")
            if drawn > width:
                faults.append(f"{drawn} pixels wide")
            found += [f"{path} {scheme} {width}: {fault}" for fault in faults]
    return found


class TestPages:
    @pytest.mark.parametrize("path", ["/login", "/register"])
    async def test_of_nobody_have_no_fault(self, open_page: OpenPage, path: str) -> None:
        assert await look(await open_page(path), path, "form") == []

    @pytest.mark.parametrize(("path", "landmark"), PAGES)
    async def test_of_a_person_have_no_fault(
        self, open_page: OpenPage, reader: HttpClient, path: str, landmark: str
    ) -> None:
        [conversation] = await (await reader.get("/conversations")).json()
        page = await open_page(client=reader)
        assert await look(page, path.format(id=conversation["id"]), landmark) == []


class TestKeyboard:
    async def test_is_enough_for_a_conversation(self, page: Page) -> None:
        await ask(page, "Hello")
        await expect(page.get_by_text("Answer 1.")).to_be_visible()
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

    async def test_reaches_the_thread_past_the_sidebar(self, page: Page) -> None:
        link = page.get_by_role("link", name="Skip to the conversation")
        await link.focus()
        await expect(link).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main")).to_be_focused()
