import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from chatvault.actor import Role
from chatvault.operations import ROUTES
from chatvault.settings import Environment, Settings
from conftest import HttpClient, SignIn
from support.factories import PASSWORD, settings_for

OURS = "https://chat.example.org"
FOREIGN = ("https://evil.example", "null", "http://[", "", "https://chat.example.org.evil.example")
ANY_ID = "6afffceb11b7f7679581abd5"
CHANGES = [
    (operation.method, re.sub(r"\{\w+\}", ANY_ID, operation.path))
    for operation in chain.from_iterable(ROUTES)
    if operation.method != "GET"
]


def own_origin(browser: HttpClient) -> str:
    return str(browser.make_url("")).rstrip("/")


class TestOrigins:
    @pytest.fixture
    def settings(self, data_dir: Path) -> Settings:
        return settings_for(data_dir, allowed_origins=OURS)

    def test_cover_many_routes_that_change_something(self) -> None:
        assert len(CHANGES) > 15

    @pytest.mark.parametrize(("method", "path"), CHANGES)
    async def test_refuse_a_foreign_page_every_change(
        self, alice: HttpClient, database: Any, method: str, path: str
    ) -> None:
        for origin in FOREIGN:
            answer = await alice.request(method, path, headers={"Origin": origin}, json={})
            assert answer.status == 403, origin
            assert (await answer.json())["code"] == "foreign_origin"
            assert "Access-Control-Allow-Origin" not in answer.headers
        assert await database.sessions.count_documents({}) == 1

    async def test_refuse_a_browser_that_says_cross_site(self, alice: HttpClient) -> None:
        answer = await alice.delete("/conversations", headers={"Sec-Fetch-Site": "cross-site"})

        assert answer.status == 403

    @pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
    async def test_accept_same_site_requests(self, alice: HttpClient, site: str) -> None:
        answer = await alice.delete("/conversations", headers={"Sec-Fetch-Site": site})

        assert answer.status == 200

    async def test_accept_configured_origins_own_pages_and_tools(self, alice: HttpClient) -> None:
        for headers in ({"Origin": OURS}, {"Origin": own_origin(alice)}, {}):
            assert (await alice.delete("/conversations", headers=headers)).status == 200
        both = {"Origin": OURS, "Sec-Fetch-Site": "cross-site"}
        assert (await alice.delete("/conversations", headers=both)).status == 200

    async def test_hide_answers_from_a_foreign_page(self, alice: HttpClient) -> None:
        answer = await alice.get("/auth/me", headers={"Origin": FOREIGN[0]})

        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Vary"] == "Origin"

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/auth/me", 200), ("GET", "/nowhere", 404), ("PUT", "/auth/me", 405),
         ("POST", "/conversations", 400), ("GET", "/admin/audit-logs", 403)],
    )  # fmt: skip
    async def test_are_named_in_headers_of_answers_and_errors(
        self, alice: HttpClient, method: str, path: str, status: int
    ) -> None:
        headers = {"Origin": OURS, "Content-Type": "application/json"}

        answer = await alice.request(method, path, headers=headers)

        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        for name in ("ETag", "Link", "X-Total-Count", "X-Request-ID", "Retry-After"):
            assert name in answer.headers["Access-Control-Expose-Headers"]

    async def test_get_an_answer_to_their_preflight(self, http: HttpClient) -> None:
        asked = {
            "Origin": OURS,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "content-type,if-match",
        }

        answer = await http.options("/conversations", headers=asked)

        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            assert method in answer.headers["Access-Control-Allow-Methods"]
        for name in ("Content-Type", "If-Match", "Prefer"):
            assert name in answer.headers["Access-Control-Allow-Headers"]

    async def test_get_no_answer_to_a_foreign_preflight(self, http: HttpClient) -> None:
        asked = {"Origin": FOREIGN[0], "Access-Control-Request-Method": "DELETE"}

        answer = await http.options("/conversations", headers=asked)

        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers

    async def test_preflights_leave_no_entry(self, http: HttpClient, database: Any) -> None:
        asked = {"Origin": OURS, "Access-Control-Request-Method": "DELETE"}
        await http.options("/conversations", headers=asked)

        assert await database.audit_logs.count_documents({}) == 0


class TestDefaultOrigins:
    async def test_are_the_usual_local_origins_in_development(self, http: HttpClient) -> None:
        for origin in ("http://localhost:5173", "http://127.0.0.1:4173"):
            answer = await http.get("/health", headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin


class TestProductionOrigins:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_for(tmp_path, env=Environment.PRODUCTION)

    async def test_are_only_the_configured_ones(self, http: HttpClient) -> None:
        answer = await http.get("/health", headers={"Origin": "http://localhost:5173"})

        assert "Access-Control-Allow-Origin" not in answer.headers


async def who_signed_in(http: HttpClient, database: Any, *forwarded: tuple[str, str]) -> Any:
    """The address that a failed login is recorded with."""
    await http.post("/auth/login", json={"username": "x", "password": "y"}, headers=forwarded)
    return (await database.audit_logs.find_one(sort=[("_id", -1)]))["address"]


class TestTrustedProxies:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_for(tmp_path, trusted_proxies="127.0.0.1, 10.0.0.0/8")

    async def test_report_that_tls_is_used(self, http: HttpClient, sign_in: SignIn) -> None:
        await sign_in("alice")
        credentials = {"username": "alice", "password": PASSWORD}

        for proto, secure in (("https", True), ("http", ""), ("nonsense", "")):
            answer = await http.post(
                "/auth/login", json=credentials, headers={"X-Forwarded-Proto": proto}
            )
            assert answer.cookies["session_id"]["secure"] == secure

    async def test_make_a_page_of_their_https_address_same_origin(self, http: HttpClient) -> None:
        origin = own_origin(http).replace("http://", "https://")

        for proto, status in (("https", 401), ("http", 403)):
            answer = await http.post(
                "/auth/logout", headers={"Origin": origin, "X-Forwarded-Proto": proto}
            )
            assert answer.status == status

    async def test_name_the_client(self, http: HttpClient, database: Any) -> None:
        for given, address in {
            "192.0.2.7": "192.0.2.7",
            "192.0.2.7, 10.1.2.3": "192.0.2.7",
            "203.0.113.9, 192.0.2.7": "192.0.2.7",
            "2001:db8::1": "2001:db8::1",
            "nonsense": "127.0.0.1",
            "10.1.2.3": "127.0.0.1",
            "": "127.0.0.1",
        }.items():
            assert await who_signed_in(http, database, ("X-Forwarded-For", given)) == address

    async def test_take_precedence_over_a_header_of_the_client(
        self, http: HttpClient, database: Any
    ) -> None:
        lines = (("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.7"))

        assert await who_signed_in(http, database, *lines) == "192.0.2.7"


class TestUntrustedClients:
    async def test_cannot_forge_their_address_or_scheme(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        credentials = {"username": "alice", "password": PASSWORD}
        forged = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}

        answer = await http.post("/auth/login", json=credentials, headers=forged)

        assert not answer.cookies["session_id"]["secure"]
        assert "192.0.2.7" not in str(await database.audit_logs.find().to_list())


class TestRequestId:
    async def test_is_generated_for_the_answer_and_the_audit_entry(
        self, alice: HttpClient, database: Any
    ) -> None:
        answer = await alice.get("/auth/me")

        entry = await database.audit_logs.find_one({"action": "user.get"})
        assert entry["request_id"] == answer.headers["X-Request-ID"]
        assert len(entry["request_id"]) == 32

    @pytest.mark.parametrize("given", ["a1b2c3d4", "Trace.1_2-3", "x" * 64])
    async def test_is_the_clients_if_well_formed(
        self, alice: HttpClient, database: Any, given: str
    ) -> None:
        answer = await alice.get("/auth/me", headers={"X-Request-ID": given})

        assert answer.headers["X-Request-ID"] == given
        assert await database.audit_logs.count_documents({"request_id": given}) == 1

    @pytest.mark.parametrize("given", ["short", "x" * 65, "with blank", "a;b:c,d{}", "äöüäöüäö"])
    async def test_replaces_a_malformed_one_of_the_client(
        self, alice: HttpClient, given: str
    ) -> None:
        answer = await alice.get("/auth/me", headers={"X-Request-ID": given})

        assert answer.headers["X-Request-ID"] != given

    async def test_is_part_of_a_problem(self, http: HttpClient) -> None:
        answer = await http.get("/auth/me")

        assert (await answer.json())["request_id"] == answer.headers["X-Request-ID"]


class TestHeaders:
    @pytest.mark.parametrize("path", ["/health", "/auth/me", "/nowhere", "/docs"])
    async def test_keep_browsers_from_guessing_framing_and_caching(
        self, http: HttpClient, path: str
    ) -> None:
        headers = (await http.get(path)).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "chatvault"


class TestRoles:
    @pytest.mark.parametrize(
        ("role", "status"), [(Role.USER, 403), (Role.AUDITOR, 200), (Role.ADMIN, 200)]
    )
    async def test_are_those_of_the_session(
        self, sign_in: SignIn, database: Any, role: Role, status: int
    ) -> None:
        browser = await sign_in("eve", role=role)

        assert (await browser.get("/admin/audit-logs")).status == status
        entry = await database.audit_logs.find_one({"action": "audit.list"})
        assert entry["role"] == role.value
        assert entry["outcome"] == ("success" if status == 200 else "denied")
