import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from chatvault import errors
from chatvault.actor import Actor
from chatvault.http.problems import STATUS, as_domain_error, outcome_of, status_of
from chatvault.http.requests import MAX_BODY_BYTES
from chatvault.outcome import begin_operation
from chatvault.preferences import service as preferences
from conftest import HttpClient

JSON = {"Content-Type": "application/json"}


async def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of an answer that must be this problem."""
    body: dict[str, Any] = await answer.json(content_type="application/problem+json")
    assert (answer.status, body["status"], body["code"]) == (status, status, code), body
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert "\n" not in body["detail"]
    return body


async def blanks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 2**16):
        yield b" " * min(2**16, size - start)


class TestNotFound:
    @pytest.mark.parametrize("path", ["/nowhere", "/conversations/", "/auth", "/admin", "/%00"])
    async def test_is_answered_for_an_unknown_path(self, http: HttpClient, path: str) -> None:
        await problem(await http.get(path), 404, "unknown_path")

    async def test_lists_the_allowed_methods_for_another_method(self, http: HttpClient) -> None:
        answer = await http.put("/auth/me", json={})

        await problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET,HEAD"

    async def test_leaves_no_audit_entry(self, http: HttpClient, database: Any) -> None:
        await http.get("/nowhere")
        await http.put("/auth/me")

        assert await database.audit_logs.count_documents({}) == 0


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"", id="empty"),
            b"{",
            b"nonsense",
            b'{"username": "\xff"}',
            b'{"username": "\\ud800"}',
            b'{"username": NaN}',
            b'{"username": Infinity}',
            b'\xef\xbb\xbf{"username": "x"}',
            b'{"username": "x"} trailing',
            pytest.param(b"[" * 10_000, id="brackets"),
            pytest.param(b'{"a":' * 300 + b"1" + b"}" * 300, id="nested"),
            pytest.param(b"1" * 5000, id="digits"),
        ],
    )
    async def test_are_malformed_if_not_json(self, http: HttpClient, body: bytes) -> None:
        answer = await http.post("/auth/register", data=body, headers=JSON)

        found = await problem(answer, 400, "malformed")
        assert found["detail"].startswith("The body is not JSON: ")

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"]
    )
    async def test_are_refused_in_another_content_type(
        self, http: HttpClient, content_type: str
    ) -> None:
        answer = await http.post(
            "/auth/register", data=b"{}", headers={"Content-Type": content_type}
        )

        await problem(answer, 415, "unsupported_media_type")

    @pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1" * 4000])
    async def test_are_invalid_if_not_an_object(self, http: HttpClient, body: bytes) -> None:
        answer = await http.post("/auth/register", data=body, headers=JSON)

        await problem(answer, 422, "invalid_input")

    async def test_are_refused_with_the_limit_if_too_large(
        self, alice: HttpClient, database: Any
    ) -> None:
        answer = await alice.post("/conversations", data=blanks(MAX_BODY_BYTES + 1), headers=JSON)

        found = await problem(answer, 413, "too_large")
        assert "32 MB" in found["detail"]
        entry = await database.audit_logs.find_one({"action": "conversation.create"})
        assert (entry["outcome"], entry["code"]) == ("failed", "too_large")

    async def test_are_too_large_if_they_decompress_beyond_the_limit(
        self, alice: HttpClient
    ) -> None:
        packed = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
        headers = {**JSON, "Content-Encoding": "gzip"}

        answer = await alice.post("/conversations", data=packed, headers=headers)

        await problem(answer, 413, "too_large")

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_are_malformed_if_they_cannot_be_decompressed(
        self, alice: HttpClient, encoding: str
    ) -> None:
        headers = {**JSON, "Content-Encoding": encoding}

        answer = await alice.post("/conversations", data=b"not packed at all", headers=headers)

        await problem(answer, 400, "malformed")

    async def test_get_an_error_for_each_wrong_field(self, http: HttpClient) -> None:
        answer = await http.post("/auth/register", json={"username": "x y", "more": 1})

        found = await problem(answer, 422, "invalid_input")
        assert [error["loc"] for error in found["errors"]] == [
            ["body", "username"], ["body", "email"], ["body", "password"], ["body", "more"],
        ]  # fmt: skip
        assert all(error.keys() == {"loc", "msg", "type"} for error in found["errors"])
        assert found["detail"].endswith("(and 3 more)")


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
            ("offset=-1", "offset"),
            ("nonsense=1", "nonsense"),
            ("status=%00", "status"),
            ("status=%ff", "status"),
            ("limit=" + "9" * 5000, "limit"),
        ],
    )
    async def test_get_an_error_with_the_wrong_parameter(
        self, alice: HttpClient, query: str, name: str
    ) -> None:
        answer = await alice.get(f"/conversations?{query}")

        found = await problem(answer, 422, "invalid_input")
        assert found["errors"][0]["loc"] == ["query", name]


class TestUnexpectedError:
    async def test_hides_its_message_and_is_recorded(
        self, alice: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(actor: Actor, recorder: Any) -> None:
            raise RuntimeError("planted secret")

        monkeypatch.setattr(preferences, "get", broken)

        answer = await alice.get("/users/me/preferences")

        found = await problem(answer, 500, "internal_error")
        assert "planted" not in str(found)
        entry = await database.audit_logs.find_one({"action": "preferences.get"})
        assert (entry["outcome"], entry["code"]) == ("failed", "internal_error")
        assert entry["request_id"] == found["request_id"]
        assert "planted" not in str(entry)

    @pytest.mark.parametrize(
        "trouble", [AutoReconnect("gone"), OperationFailure("stepped down", 189)]
    )
    async def test_of_the_database_asks_for_a_retry(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch, trouble: Exception
    ) -> None:
        async def broken(actor: Actor, recorder: Any) -> None:
            raise trouble

        monkeypatch.setattr(preferences, "get", broken)

        answer = await alice.get("/users/me/preferences")

        await problem(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "1"


class TestTable:
    def test_has_a_status_for_every_error(self) -> None:
        kinds = [errors.ChatvaultError]
        for kind in kinds:
            kinds.extend(kind.__subclasses__())

        assert len(kinds) > 15
        for kind in kinds:
            assert 400 <= status_of(kind) <= 503

    def test_has_a_code_of_its_own_for_every_error(self) -> None:
        kinds = list(STATUS)
        codes = [kind.code for kind in kinds]

        assert len(set(codes)) == len(codes)

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (errors.NotFound(), "denied"),
            (errors.Throttled(), "denied"),
            (errors.InvalidCredentials(), "denied"),
            (errors.InvalidInput(), "failed"),
            (errors.StaleVersion(), "failed"),
            (errors.Busy(), "failed"),
        ],
    )
    def test_distinguishes_refusals_from_failures(
        self, error: errors.ChatvaultError, outcome: str
    ) -> None:
        assert outcome_of(error).value == outcome

    def test_has_details_of_one_line_without_a_full_stop(self) -> None:
        for kind in STATUS:
            detail = kind().detail
            assert detail
            assert "\n" not in detail
            assert not detail.endswith(".")

    def test_keeps_known_errors_unchanged(self) -> None:
        begin_operation()
        known = errors.Busy()

        assert as_domain_error(known) is known
