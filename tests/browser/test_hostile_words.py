"""What people and models wrote is shown, and never run; no page of ours complains about it."""

from typing import Any

from playwright.async_api import Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, said
from support.factories import begin, message

HOSTILE = """<script>window.hit = 1</script>
<img src=x onerror="window.hit = 2"> and inline <b onclick="window.hit=3">bold</b>

[a link](javascript:window.hit=4) and [another](data:text/html,<script>window.hit=5</script>)
<a href="javascript:window.hit=6">third</a>

![picture](https://elsewhere.example/pixel.png) ![x](javascript:window.hit=7)

```html
</code></pre><script>window.hit = 8</script>
```

$$\\href{javascript:window.hit=9}{x} \\includegraphics{https://elsewhere.example/y.png}$$

| a | b |
|---|---|
| <script>window.hit = 10</script> | \u202egnp.exe |

&lt;script&gt;window.hit = 11&lt;/script&gt;
"""


async def opened(open_page: OpenPage, client: HttpClient, **fields: Any) -> Page:
    made = await begin(client, **fields)
    page = await open_page(f"/c/{made['id']}", client=client)
    await page.get_by_role("article").first.wait_for()
    return page


class TestHostileText:
    async def test_is_shown_as_text(self, open_page: OpenPage, sign_in: SignIn) -> None:
        both = [message(HOSTILE), message(HOSTILE, "assistant"), message(HOSTILE, "system")]
        client = await sign_in("alice")
        page = await opened(open_page, client, title=HOSTILE[:200], messages=both)

        await expect(page.get_by_text("window.hit = 1").first).to_be_visible()
        assert await page.evaluate("window.hit") is None
        main = page.get_by_role("main")
        assert await main.locator("script, img, iframe, [onclick]").count() == 0
        for link in await main.locator("a[href]").all():
            address = str(await link.get_attribute("href"))
            assert address.startswith(("https://elsewhere.example/", "/")), address

    async def test_does_not_block_the_page_if_very_long(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        line = message("x" * 1_000_000, "assistant")
        deep = message("> " * 5_000 + "deep", "assistant")
        client = await sign_in("alice")
        page = await opened(open_page, client, messages=[line, deep, message("The end.")])

        await expect(said(page, "The end.")).to_be_visible()
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 1280
