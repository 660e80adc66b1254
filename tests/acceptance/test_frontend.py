"""The recorded frontend's day, replayed against the running service.

Pages come from http://localhost:4174: what the browser asks of the service is cross-origin with
credentials. Login, completions and logout go through the page's own server, which hands the
cookie on and names no origin.
"""

import asyncio
from typing import Any

import aiohttp
import pytest

from support.running import PASSWORD, Service, ask

pytestmark = pytest.mark.xdist_group("service")

ORIGIN = "http://localhost:4174"
METRICS = {
    "totalTime": 0.004,
    "tokensPerSecond": 20,
    "promptTokens": 75,
    "completionTokens": 12,
    "totalTokens": 87,
    "promptEvalDuration": 0.12,
    "evalDuration": 0.6,
}
EMPTY = {"title": "New Conversation", "messages": [], "metadata": {}}


class Page:
    """The page in a browser, and its server."""

    def __init__(self, service: Service, browser: aiohttp.ClientSession) -> None:
        self.service = service
        self.browser = browser
        self.server = service.browser(**{"User-Agent": "node"})
        self.permitted: set[tuple[str, str]] = set()

    async def call(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """What the page's script fetches, after the preflight that the browser makes."""
        if (method, path) not in self.permitted:
            await self._preflight(method, path)
            self.permitted.add((method, path))
        headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
        answer, found = await ask(
            self.browser, method, self.service.url + path, body, headers=headers
        )
        assert answer.status == status, found
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        return found

    async def _preflight(self, method: str, path: str) -> None:
        headers = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type",
        }
        async with aiohttp.ClientSession() as without_cookies:
            url = self.service.url + path
            async with without_cookies.options(url, headers=headers) as answer:
                assert answer.status == 200
                allowed = answer.headers
        assert allowed["Access-Control-Allow-Origin"] == ORIGIN
        assert allowed["Access-Control-Allow-Credentials"] == "true"
        assert method in allowed["Access-Control-Allow-Methods"]
        assert "content-type" in allowed["Access-Control-Allow-Headers"].lower()

    async def hand_on(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """What the page's server asks, with the browser's cookie."""
        cookies = {"session_id": self.service.cookie(self.browser)}
        answer, found = await ask(
            self.server, method, self.service.url + path, body, cookies=cookies
        )
        assert answer.status == status, found
        return found

    async def reply(self, path: str, words: str) -> Any:
        """A reply from elsewhere is stored: the service itself has no model yet."""
        asked = {
            "messages": [{"role": "user", "content": "?"}],
            "temperature": 0.7,
            "max_tokens": 2000,
            "stream": False,
        }
        refused = await self.hand_on("POST", "/chat/completions", asked, 503)
        assert refused["code"] == "model_not_configured"
        return await self.call("POST", f"{path}/messages", _assistant(words))


def _user(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words, "timestamp": "2026-11-20T08:08:49.046Z"}


def _assistant(words: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": words,
        "timestamp": "2026-11-20T08:08:49.128Z",
        "metrics": METRICS,
        "model": "qwen2.5:14b (configured)",
    }


def _thinking(*times: float) -> dict[str, Any]:
    return {
        "thinkingTimes": list(times),
        "totalThinkingTime": sum(times),
        "responseCount": len(times),
        "averageThinkingTime": sum(times) / len(times),
    }


async def _log_in(page: Page) -> None:
    url = page.service.url
    account = {"username": "dora", "password": PASSWORD}
    new = account | {"email": "dora@example.com"}
    answer, _ = await ask(page.server, "POST", f"{url}/auth/register", new)
    assert answer.status == 200
    # SvelteKit's server logs in, and sets the cookie in its own answer to the browser.
    answer, found = await ask(page.server, "POST", f"{url}/auth/login", account)
    assert (answer.status, found["message"]) == (200, "Login successful")
    page.browser.cookie_jar.update_cookies(answer.cookies, answer.url)
    page.server.cookie_jar.clear()


class TestFrontend:
    async def test_works_for_a_typical_day(self, service: Service) -> None:
        async with service.browser() as browser:
            page = Page(service, browser)
            async with page.server:
                await _log_in(page)
                await self._chat(page)

    async def _chat(self, page: Page) -> None:
        await page.hand_on("GET", "/gpu/health")
        await page.hand_on("GET", "/model/current")
        assert (await page.hand_on("GET", "/auth/me"))["username"] == "dora"
        everything = "/conversations?limit=100&offset=0"
        assert await page.call("GET", everything) == []

        begun = await page.call("POST", "/conversations", EMPTY, 201)
        path = f"/conversations/{begun['id']}"
        await page.call("POST", f"{path}/messages", _user("What is the capital of France?"))
        await page.call("PUT", path, {"title": "What is the capital of France..."})
        await page.reply(path, "Paris")
        await page.call("PUT", path, {"metadata": _thinking(0.037)})
        await page.call("POST", f"{path}/messages", _user("ok thanks"))
        await page.reply(path, "You are welcome")
        await page.call("PUT", path, {"metadata": _thinking(0.037, 0.031)})

        other = await page.call("POST", "/conversations", EMPTY, 201)
        renamed = await page.call("PUT", f"/conversations/{other['id']}", {"title": "Renamed"})
        assert renamed["title"] == "Renamed"
        listed = await page.call("GET", everything)
        assert [each["id"] for each in listed] == [other["id"], begun["id"]]

        expected = ["What is the capital of France?", "Paris", "ok thanks", "You are welcome"]
        for number in range(20):
            expected.append(f"regenerated {number}")
            metadata = _thinking(0.031, number)
            await asyncio.gather(
                page.call("PUT", path, {"metadata": metadata}),
                page.call("POST", f"{path}/messages", _assistant(expected[-1])),
            )
            [_, chat] = sorted(
                await page.call("GET", everything), key=lambda each: each["total_messages"]
            )
            assert [message["content"] for message in chat["messages"]] == expected
            assert chat["metadata"] == metadata
        assert chat["title"] == "What is the capital of France..."
        for message in chat["messages"][1::2][:2]:
            assert message["metrics"] == METRICS
            assert message["timestamp"] == "2026-11-20T08:08:49.128Z"

        assert (await page.call("GET", "/health"))["status"] == "healthy"
        for _ in range(2):
            await page.call("POST", "/conversations", EMPTY, 201)
        for each in await page.call("GET", everything):
            await page.call("DELETE", f"/conversations/{each['id']}", status=204)
        assert await page.call("GET", everything) == []
        logged_out = await page.hand_on("POST", "/auth/logout")
        assert logged_out == {"message": "Logout successful"}
        await page.call("GET", everything, status=401)

    async def test_refuses_changes_by_another_sites_page(self, service: Service) -> None:
        async with service.browser() as browser:
            await service.sign_in(browser, "victim")
            url = f"{service.url}/conversations"
            headers = {"Origin": "https://evil.example"}
            for method in ("POST", "DELETE"):
                answer, refused = await ask(browser, method, url, {}, headers=headers)
                assert (answer.status, refused["code"]) == (403, "foreign_origin")
                assert "Access-Control-Allow-Origin" not in answer.headers
            wanted = headers | {"Access-Control-Request-Method": "POST"}
            answer, _ = await ask(browser, "OPTIONS", url, headers=wanted)
            assert answer.status == 403
            answer, _ = await ask(browser, "GET", url, headers=headers)
            assert "Access-Control-Allow-Origin" not in answer.headers
            answer, count = await ask(browser, "GET", f"{url}/stats/count")
            assert count == {"count": 0}
