"""How the built page is served: a small one, made up here."""

import gzip
import os
import time
from itertools import chain
from pathlib import Path

import pytest
from aiohttp import web

from chatvault.app import create_app
from chatvault.operations import ROUTES
from chatvault.pages.bundle import STALE_SECONDS
from chatvault.pages.routes import ADDRESSES
from chatvault.settings import Settings, Switch
from conftest import ClientFactory, HttpClient

POLICY = "default-src 'none'; script-src 'self' 'sha256-abc='"
INDEX = (
    "<!doctype html><title>page</title>"
    f'<meta http-equiv="content-security-policy" content="{POLICY}">' + "<p>text</p>" * 50
)
CODE = "export const answer = 42;\n" * 50
HTML = {"Accept": "text/html,application/xhtml+xml"}


def build(folder: Path, *, index: str = INDEX, sources: str = "one") -> None:
    files = {
        "index.html": index,
        "theme.js": "1;",
        "favicon.svg": "<svg/>",
        "LICENSES.txt": "MIT",
        "_app/version.json": '{"version":"1"}',
        f"_app/immutable/entry/start.{sources}.js": CODE,
        "SOURCES": sources,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page is looked for; there is none yet."""
    folder = tmp_path / "pages" / "built"
    folder.parent.mkdir()
    monkeypatch.setattr("chatvault.pages.routes.BUILT", folder)
    return folder


@pytest.fixture
def built(folder: Path) -> Path:
    build(folder)
    return folder


class TestPage:
    @pytest.mark.parametrize("path", ["/", "/login", "/c/0123456789abcdef01234567"])
    async def test_is_served_at_each_of_its_addresses(
        self, built: Path, http: HttpClient, path: str
    ) -> None:
        answer = await http.get(path, headers=HTML)

        assert answer.status == 200
        assert await answer.text() == INDEX
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"

    async def test_has_its_content_security_policy_and_no_frame(
        self, built: Path, http: HttpClient
    ) -> None:
        answer = await http.get("/login")

        assert answer.headers["Content-Security-Policy"] == f"{POLICY}; frame-ancestors 'none'"
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    async def test_is_not_sent_again_if_cached(self, built: Path, http: HttpClient) -> None:
        first = await http.get("/login")
        again = await http.get("/login", headers={"If-None-Match": first.headers["ETag"]})

        assert again.status == 304
        assert await again.read() == b""
        assert again.headers["ETag"] == first.headers["ETag"]

    async def test_is_compressed_if_accepted(self, built: Path, http: HttpClient) -> None:
        plain = await http.get("/login", headers={"Accept-Encoding": "identity"})
        packed = await http.get(
            "/login", headers={"Accept-Encoding": "gzip"}, auto_decompress=False
        )

        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await packed.read()).decode() == INDEX
        assert packed.headers["ETag"] != plain.headers["ETag"]
        assert "Accept-Encoding" in packed.headers["Vary"]

    async def test_needs_no_session_and_leaves_no_audit_entry(
        self, built: Path, http: HttpClient, app: web.Application
    ) -> None:
        answer = await http.get("/login", headers={"Cookie": "session_id=nonsense"})

        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers

    async def test_is_not_served_to_programs_at_the_root(
        self, built: Path, http: HttpClient
    ) -> None:
        answer = await http.get("/", allow_redirects=False)

        assert answer.status == 302
        assert (await answer.json())["docs"] == "/docs"


class TestFiles:
    async def test_are_cached_permanently_with_a_hash_in_their_name(
        self, built: Path, http: HttpClient
    ) -> None:
        answer = await http.get("/_app/immutable/entry/start.one.js")

        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"

    @pytest.mark.parametrize("path", ["/theme.js", "/_app/version.json", "/favicon.svg"])
    async def test_are_revalidated_without_a_hash_in_their_name(
        self, built: Path, http: HttpClient, path: str
    ) -> None:
        answer = await http.get(path)

        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-cache"

    @pytest.mark.parametrize(
        "path",
        [
            "/_app/immutable/entry/gone.js",
            "/_app/",
            "/_app/../SOURCES",
            "/_app/%2e%2e/SOURCES",
            "/SOURCES",
            "/index.html",
        ],
    )
    async def test_are_not_found_if_missing(self, built: Path, http: HttpClient, path: str) -> None:
        answer = await http.get(path, headers=HTML)

        assert answer.status == 404
        assert (await answer.json())["code"] == "unknown_path"

    async def test_of_the_previous_build_stay_available(
        self, built: Path, http: HttpClient
    ) -> None:
        assert (await http.get("/login")).status == 200
        build(built, index=INDEX + "new", sources="two")
        (built / "_app/immutable/entry/start.one.js").unlink()

        assert (await (await http.get("/login")).text()).endswith("new")
        assert (await http.get("/_app/immutable/entry/start.two.js")).status == 200
        assert (await http.get("/_app/immutable/entry/start.one.js")).status == 200


class TestAddresses:
    def test_do_not_overlap_with_the_api(self) -> None:
        """A reload of the page at such an address would show JSON; both are at the start."""
        api = {each.path.split("/")[1] for each in chain.from_iterable(ROUTES)}
        ours = {address.split("/")[1] for address in ADDRESSES}
        assert api & ours == {""}

    def test_match_the_sources(self) -> None:
        routes = Path(__file__).parents[2] / "ui" / "src" / "routes"
        # Folders in brackets are no part of an address.
        paths = [
            [part for part in path.relative_to(routes).parts[:-1] if not part.startswith("(")]
            for path in routes.rglob("+page.svelte")
        ]
        assert {(parts or [""])[0] for parts in paths} == {
            address.split("/")[1] for address in ADDRESSES
        }

    async def test_are_answered_by_the_api_if_unknown(self, built: Path, http: HttpClient) -> None:
        answer = await http.get("/nowhere", headers=HTML)

        assert answer.status == 404
        assert (await answer.json())["code"] == "unknown_path"

    async def test_are_not_found_if_the_page_is_disabled(
        self, built: Path, settings: Settings, mongodb_url: str, aiohttp_client: ClientFactory
    ) -> None:
        off = settings.model_copy(update={"ui": Switch.OFF})
        http = await aiohttp_client(create_app(off, mongodb_url=mongodb_url))

        assert (await http.get("/login", headers=HTML)).status == 404
        answer = await http.get("/", headers=HTML, allow_redirects=False)
        assert answer.headers["Location"] == "/docs"


class TestAbsentPage:
    async def test_explains_what_to_do(self, folder: Path, http: HttpClient) -> None:
        answer = await http.get("/", headers=HTML)

        assert answer.status == 503
        assert "scripts/ui build" in await answer.text()
        assert "unsafe" not in answer.headers["Content-Security-Policy"]

    async def test_reloads_itself_during_a_build(self, folder: Path, http: HttpClient) -> None:
        folder.with_name("built.state").write_text("building\n")
        answer = await http.get("/", headers=HTML)

        assert answer.status == 503
        assert answer.headers["Retry-After"] == "3"
        assert 'http-equiv="refresh"' in await answer.text()

    async def test_shows_why_a_build_failed(self, folder: Path, http: HttpClient) -> None:
        folder.with_name("built.state").write_text("failed\nnpm <cannot> reach the registry\n")
        text = await (await http.get("/", headers=HTML)).text()

        assert "npm &lt;cannot&gt; reach the registry" in text
        assert "refresh" not in text

    async def test_does_not_wait_for_a_build_that_was_killed(
        self, folder: Path, http: HttpClient
    ) -> None:
        state = folder.with_name("built.state")
        state.write_text("building\n")
        long_ago = time.time() - STALE_SECONDS - 1
        os.utime(state, (long_ago, long_ago))

        assert "refresh" not in await (await http.get("/", headers=HTML)).text()

    async def test_is_for_people_only(self, folder: Path, http: HttpClient) -> None:
        assert (await http.get("/login", headers={"Accept": "application/json"})).status == 404


class TestConfig:
    async def test_has_the_settings_of_the_page(self, http: HttpClient) -> None:
        answer = await http.get("/ui/config")

        found = await answer.json()
        assert answer.status == 200
        assert found["registration_open"] is True
        assert found["model_configured"] is False
        assert found["max_reply_content"] == 10_000
