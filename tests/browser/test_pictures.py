"""The pictures of docs/pictures: `scripts/page-figures --pictures` makes them anew."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page

from conftest import HttpClient, SignIn
from support.browsing import OpenPage
from support.factories import begin, message

FOLDER = "PAGE_PICTURES"
MOST_BYTES = 150 * 1024
QUESTION = "Which fjord should I see first, and when?"
ANSWER = """The **Geirangerfjord**: it is narrow, deep and green, and the ferry takes an hour.

| Fjord | Length | Best month |
|---|---|---|
| Geiranger | 15 km | June |
| Sogne | 205 km | May |
| Lyse | 42 km | September |

Sail early, as fewer people do:

```python
def ferry(hour: int) -> str:
    return "sails" if hour % 2 else "waits"  # every other hour
```
"""
TITLES = [
    ("Bread with rye flour", ["kitchen"]),
    ("A letter to the landlord", ["home"]),
    ("Sorting a list of dates", ["work", "python"]),
    ("What tides have to do with the moon", []),
    ("Plan for the garden", ["home"]),
    ("The rules of backgammon", []),
    ("Reading list for the winter", ["books"]),
    ("Which fjord first?", ["travel"]),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where pictures go; without the script they are made all the same, and thrown away."""
    return Path(os.environ.get(FOLDER, tmp_path))


@pytest.fixture
async def reader(sign_in: SignIn) -> HttpClient:
    client = await sign_in("alice")
    for title, tags in TITLES:
        said = [message(QUESTION), message(ANSWER, "assistant")]
        await begin(client, title=title, tags=tags, messages=said)
    return client


async def take(page: Page, folder: Path, name: str) -> None:
    await page.wait_for_load_state("networkidle")
    await page.evaluate("document.fonts.ready.then(() => document.activeElement.blur())")
    picture = await page.screenshot(path=folder / f"{name}.png", scale="css")
    assert len(picture) <= MOST_BYTES, name


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_of_the_main_screens(
    open_page: OpenPage, reader: HttpClient, folder: Path, scheme: str
) -> None:
    [newest, *_] = await (await reader.get("/conversations")).json()
    nobody = await open_page("/login", color_scheme=scheme)
    await nobody.get_by_label("Username").wait_for()
    await take(nobody, folder, f"sign-in-{scheme}")

    screens = {"thread": (f"/c/{newest['id']}", "article"), "library": ("/library", "td")}
    for name, (path, landmark) in screens.items():
        page = await open_page(path, client=reader, color_scheme=scheme)
        await page.locator(landmark).first.wait_for()
        await take(page, folder, f"{name}-{scheme}")
    phone = await open_page(
        f"/c/{newest['id']}",
        client=reader,
        color_scheme=scheme,
        viewport={"width": 390, "height": 844},
    )
    await phone.locator("article").first.wait_for()
    await take(phone, folder, f"phone-{scheme}")
