"""A real provider of OpenID Connect, and people who sign in with it in a browser."""

import asyncio
import contextlib
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, CookieJar, web
from aiohttp.test_utils import TestServer
from yarl import URL

from chatvault.external import Oidc
from conftest import HttpClient
from support import programs
from support.pages import free_port

PROGRAM = Path(__file__).with_name("identity_provider.mjs")
SECRET = "a secret of 32 characters at least"  # of a test
ROLES = {"operators": "admin", "lawyers": "auditor"}


@dataclass
class RealProvider:
    """The provider's process.

    Attributes:
        issuer: its address.
        logout_tokens: those that it has sent.
    """

    issuer: str
    logout_tokens: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    async def tell(self, login: str) -> None:
        """Have it say of `name:group:group` that this person is in these groups from now on."""
        async with ClientSession() as browser, browser.get(f"{self.issuer}/groups/{login}"):
            pass

    def config(self, **more: Any) -> Oidc:
        """Return the setting that names it."""
        return Oidc(
            issuer=self.issuer, client_id="chatvault", client_secret=SECRET, roles=ROLES, **more
        )


@contextlib.asynccontextmanager
async def identity_provider() -> AsyncIterator[RealProvider]:
    """Run the provider until the end of the context."""
    port = free_port()
    provider = RealProvider(f"http://127.0.0.1:{port}")

    async def note_logout(request: web.Request) -> web.Response:
        form = await request.post()
        provider.logout_tokens.put_nowait(str(form["logout_token"]))
        return web.Response()

    listener = web.Application()
    listener.router.add_post("/", note_logout)
    async with TestServer(listener) as server:
        process = await asyncio.create_subprocess_exec(
            *programs.node(),
            *("--input-type=module", "-", port, str(server.make_url("/"))),
            cwd=programs.HOME,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(PROGRAM.read_bytes())  # a small file
        process.stdin.close()
        try:
            assert (await process.stdout.readline()).decode().strip() == provider.issuer
            yield provider
        finally:
            process.kill()
            await process.wait()


class Person:
    """Somebody with a browser, which keeps the provider's cookies apart from the service's.

    Args:
        service: the service in their browser.
    """

    def __init__(self, service: HttpClient) -> None:
        self._service = service
        self._provider = ClientSession(cookie_jar=CookieJar(unsafe=True))

    async def close(self) -> None:
        """Close the browser."""
        await self._provider.close()

    async def sign_in(self, login: str, **query: str) -> Any:
        """Sign in as a login of the provider; return the service's last answer."""
        return await self.come_back(await self.authorize(await self.begin(**query), login))

    async def begin(self, **query: str) -> str:
        """Return where the service sends the browser."""
        answer = await self._service.get("/auth/oidc/login", params=query, allow_redirects=False)
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]

    async def authorize(self, location: str, login: str) -> URL:
        """Do what the provider asks for; return where it sends the browser back to."""
        url, page = await self._visit("GET", URL(location))
        while url is None or not url.path.endswith("/auth/oidc/callback"):
            if url is None:
                url, page = await self._submit(page, login=login, password="any")
            else:
                url, page = await self._visit("GET", url)
        return url

    async def come_back(self, callback: URL, **changed: str) -> Any:
        """Bring the provider's answer to the service."""
        where = callback.relative().update_query(changed)
        return await self._service.get(where, allow_redirects=False)

    async def sign_out_there(self, provider: RealProvider) -> str:
        """Sign out with the provider; return the token that it sends the service."""
        _, page = await self._visit("GET", URL(f"{provider.issuer}/session/end"))
        await self._submit(page, logout="yes")
        return await asyncio.wait_for(provider.logout_tokens.get(), 20)

    async def _submit(self, page: str, **given: str) -> tuple[URL | None, str]:
        """Send the page's form."""
        [action] = re.findall(r'<form[^>]*action="([^"]+)"', page)[:1]
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        return await self._visit("POST", URL(html.unescape(action)), data=hidden | given)

    async def _visit(self, method: str, url: URL, **options: Any) -> tuple[URL | None, str]:
        """Return where the provider redirects to, or None, and its page."""
        async with self._provider.request(method, url, allow_redirects=False, **options) as answer:
            page = await answer.text()
            location = answer.headers.get("Location")
            return None if location is None else answer.url.join(URL(location)), page
