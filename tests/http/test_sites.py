"""Pages that may call, but whose browser takes the service for another site."""

from pathlib import Path
from typing import Any

import pytest

from chatvault.http.sites import is_cross_site
from chatvault.settings import Settings
from conftest import HttpClient
from support.factories import settings_for

PAGE = "http://localhost:5173"


class TestIsCrossSite:
    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            (PAGE, "localhost:8000"),
            ("http://127.0.0.1:5173", "127.0.0.1:8000"),
            ("http://[::1]:5173", "[::1]:8000"),
            ("https://chat.example.org", "api.example.org"),
            ("https://example.org", "api.example.org:8443"),
            ("https://chat.example.co.uk", "api.example.co.uk"),
        ],
    )
    def test_is_false_within_a_site(self, origin: str, host: str) -> None:
        assert not is_cross_site(origin, host, None)

    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            (PAGE, "127.0.0.1:8000"),
            (PAGE, "[::1]:8000"),
            ("http://127.0.0.1:5173", "localhost:8000"),
            ("http://10.0.0.1:5173", "10.0.0.2:8000"),
            ("https://chat.example.org", "chat.example.com"),
            ("https://chat.example.org", "myhost"),
            (PAGE, "[not a host"),
        ],
    )
    def test_is_true_between_two_sites(self, origin: str, host: str) -> None:
        assert is_cross_site(origin, host, None)

    def test_trusts_the_header_of_the_browser(self) -> None:
        assert is_cross_site("https://a.github.io", "b.github.io", "cross-site")
        assert not is_cross_site(PAGE, "127.0.0.1:8000", "same-site")


class TestCallsWithoutCookie:
    @pytest.fixture
    def settings(self, data_dir: Path) -> Settings:
        origins = "http://localhost:5173,https://chat.example.org"
        return settings_for(data_dir, allowed_origins=origins)

    @staticmethod
    async def call(http: HttpClient, **headers: str) -> tuple[int, dict[str, Any]]:
        answer = await http.get("/auth/me", headers=headers)
        return answer.status, await answer.json()

    async def test_explain_why_the_cookie_is_missing(self, http: HttpClient, database: Any) -> None:
        # The test's client calls 127.0.0.1, as a page does that was told to.
        status, problem = await self.call(http, Origin=PAGE)

        assert (status, problem["code"]) == (401, "cookie_withheld")
        assert "localhost" in problem["detail"]
        assert "127.0.0.1" in problem["detail"]
        entry = await database.audit_logs.find_one({"action": "user.get"})
        assert (entry["outcome"], entry["code"]) == ("denied", "cookie_withheld")

    async def test_explain_it_also_if_only_the_browser_knows(self, http: HttpClient) -> None:
        page = "https://chat.example.org"
        called = {"Origin": page, "Host": "api.example.org"}
        _, problem = await self.call(http, **called)
        assert problem["code"] == "authentication_required"

        _, problem = await self.call(http, **called, **{"Sec-Fetch-Site": "cross-site"})
        assert problem["code"] == "cookie_withheld"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "http://elsewhere.example"},
            {"Origin": PAGE, "Host": "localhost:8000"},
            {"Origin": PAGE, "Cookie": "session_id=of-a-session-that-ended"},
        ],
        ids=["no page", "a page that may not call", "one site", "a cookie came"],
    )
    async def test_are_anonymous_otherwise(self, http: HttpClient, headers: dict[str, str]) -> None:
        status, problem = await self.call(http, **headers)

        assert (status, problem["code"]) == (401, "authentication_required")

    async def test_are_answered_on_public_routes(self, http: HttpClient) -> None:
        assert (await http.get("/model/current", headers={"Origin": PAGE})).status == 200
        account = {"username": "x", "password": "y"}
        answer = await http.post("/auth/login", json=account, headers={"Origin": PAGE})
        assert (await answer.json())["code"] == "invalid_credentials"
