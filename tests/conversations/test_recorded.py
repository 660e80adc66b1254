"""What the first backend answered to its frontend, replayed: the contract to keep.

Where design differs on purpose, the difference holds: errors are problems, times end in `Z`,
`DELETE /conversations` works.
"""

from typing import Any

from aiohttp import ClientResponse

from conftest import HttpClient
from support.answers import INSTANT, problem, wrong_fields

METRICS = {
    "totalTime": 1.25,
    "tokensPerSecond": 20.1,
    "promptTokens": 10,
    "completionTokens": 5,
    "totalTokens": 15,
    "promptEvalDuration": 0.1,
    "evalDuration": 0.9,
}
THINKING = {
    "thinkingTimes": [1.2],
    "totalThinkingTime": 1.2,
    "responseCount": 1,
    "averageThinkingTime": 1.2,
}
STAMP = "2025-10-27T00:11:22.333Z"
CONVERSATION = {
    "id", "user_id", "title", "messages", "status", "metadata", "created_at", "updated_at",
}  # fmt: skip
USER = {
    "id", "username", "email", "full_name", "role", "is_active", "created_at", "last_login",
}  # fmt: skip
NOBODYS = "507f1f77bcf86cd799439011"
ACCOUNT = {"username": "bob", "email": "bob@example.com", "password": "secret12"}


async def json_of(answer: ClientResponse, status: int = 200) -> Any:
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/json"
    return await answer.json()


def among(message: dict[str, Any], fields: dict[str, Any]) -> bool:
    return fields.items() <= message.items()


async def signed_in(http: HttpClient) -> dict[str, Any]:
    await json_of(await http.post("/auth/register", json=ACCOUNT))
    credentials = {"username": "bob", "password": "secret12"}
    user: dict[str, Any] = (await json_of(await http.post("/auth/login", json=credentials)))["user"]
    return user


class TestRecordedAccounts:
    async def test_registers_logs_in_and_out(self, http: HttpClient) -> None:
        wanted = ACCOUNT | {"full_name": "Bob B"}
        user = await json_of(await http.post("/auth/register", json=wanted))
        assert user.keys() >= USER
        assert len(user["id"]) == 24
        assert (user["username"], user["email"]) == ("bob", "bob@example.com")
        assert (user["full_name"], user["role"], user["is_active"]) == ("Bob B", "user", True)
        assert INSTANT.fullmatch(user["created_at"])
        assert user["last_login"] is None

        again = await http.post("/auth/register", json=wanted | {"email": "bob2@example.com"})
        assert "already" in (await problem(again, 400, "already_taken"))["detail"]
        fields = await wrong_fields(await http.post("/auth/register", json={"username": "xyz"}))
        assert ["body", "email"] in fields
        assert ["body", "password"] in fields

        for path in ("/auth/me", "/conversations"):
            refused = await problem(await http.get(path), 401, "authentication_required")
            assert refused["detail"].startswith("Authentication required")

        wrong = {"username": "bob", "password": "bad"}
        refused = await problem(
            await http.post("/auth/login", json=wrong), 401, "invalid_credentials"
        )
        assert refused["detail"].startswith("Invalid username or password")

        answer = await http.post("/auth/login", json={"username": "bob", "password": "secret12"})
        body = await json_of(answer)
        assert body["message"] == "Login successful"
        assert body["user"].keys() >= USER
        assert INSTANT.fullmatch(body["user"]["last_login"])
        cookie = answer.cookies["session_id"]
        assert cookie["httponly"]
        assert cookie["max-age"] == "86400"
        assert cookie["path"] == "/"
        assert cookie["samesite"].lower() == "lax"
        assert await json_of(await http.get("/auth/me")) == body["user"]

        answer = await http.post("/auth/logout")
        assert await json_of(answer) == {"message": "Logout successful"}
        assert answer.cookies["session_id"].value == ""
        assert answer.cookies["session_id"]["max-age"] == "0"
        await problem(await http.get("/auth/me"), 401, "authentication_required")


class TestRecordedConversations:
    async def test_creates_lists_and_counts(self, http: HttpClient) -> None:
        user = await signed_in(http)

        wanted = {"title": "New Conversation", "messages": [], "metadata": {}}
        first = await json_of(await http.post("/conversations", json=wanted), 201)
        second = await json_of(await http.post("/conversations", json={}), 201)

        for begun in (first, second):
            assert begun.keys() >= CONVERSATION
            assert len(begun["id"]) == 24
            assert begun["user_id"] == user["id"]
            assert begun["title"] == "New Conversation"
            assert (begun["messages"], begun["metadata"]) == ([], {})
            assert begun["status"] == "active"
            assert begun["created_at"] == begun["updated_at"]
            assert INSTANT.fullmatch(begun["created_at"])
        listed = await json_of(await http.get("/conversations?limit=100&offset=0"))
        assert listed == [second, first]
        assert await json_of(await http.get("/conversations/stats/count")) == {"count": 2}

    async def test_appends_replaces_and_deletes(self, http: HttpClient) -> None:
        await signed_in(http)
        begun = await json_of(await http.post("/conversations", json={}), 201)
        path = f"/conversations/{begun['id']}"

        asked = {"role": "user", "content": "hello", "timestamp": STAMP}
        stored = await json_of(await http.post(f"{path}/messages", json=asked))
        assert stored.keys() >= CONVERSATION
        assert len(stored["messages"]) == 1
        assert among(stored["messages"][0], asked)

        replied: dict[str, Any] = {
            "role": "assistant",
            "content": "hi",
            "metrics": METRICS,
            "model": "qwen2.5:14b",
        }
        stored = await json_of(await http.post(f"{path}/messages", json=replied))
        assert len(stored["messages"]) == 2
        assert among(stored["messages"][0], asked)
        assert among(stored["messages"][1], replied)
        assert INSTANT.fullmatch(stored["messages"][1]["timestamp"])
        assert stored["updated_at"] >= stored["created_at"]
        messages = stored["messages"]

        stored = await json_of(await http.put(path, json={"title": "Renamed"}))
        assert (stored["title"], stored["messages"]) == ("Renamed", messages)
        stored = await json_of(await http.put(path, json={"status": "archived"}))
        assert (stored["title"], stored["status"]) == ("Renamed", "archived")
        stored = await json_of(await http.put(path, json={"metadata": THINKING}))
        assert (stored["metadata"], stored["messages"]) == (THINKING, messages)

        only = {"role": "user", "content": "only", "timestamp": STAMP, "weird": {"any": "field"}}
        stored = await json_of(await http.put(path, json={"messages": [only]}))
        assert len(stored["messages"]) == 1
        assert among(stored["messages"][0], only)
        assert (stored["status"], stored["metadata"]) == ("archived", THINKING)
        assert await json_of(await http.get(path)) == stored

        answer = await http.delete(path)
        assert (answer.status, await answer.read()) == (204, b"")
        gone = await problem(await http.delete(path), 404, "not_found")
        assert gone["detail"].startswith("Conversation not found")

    async def test_refuses_unknown_and_invalid_requests(self, http: HttpClient) -> None:
        await signed_in(http)
        begun = await json_of(await http.post("/conversations", json={}), 201)
        answers = [
            await http.get("/conversations/notanid"),
            await http.get(f"/conversations/{NOBODYS}"),
            await http.put(f"/conversations/{NOBODYS}", json={"title": "x"}),
        ]
        for answer in answers:
            assert await problem(answer, 404, "not_found")

        answer = await http.post(f"/conversations/{begun['id']}/messages", json={"role": "user"})
        assert await wrong_fields(answer) == [["body", "content"]]
        answer = await http.get("/conversations?limit=abc")
        assert await wrong_fields(answer) == [["query", "limit"]]

    async def test_deletes_all_unlike_the_recording(self, http: HttpClient) -> None:
        await signed_in(http)
        for _ in range(3):
            await json_of(await http.post("/conversations", json={}), 201)
        deleted = await json_of(await http.delete("/conversations"))
        assert deleted["deleted_count"] == 3
        assert isinstance(deleted["message"], str)
        assert await json_of(await http.get("/conversations/stats/count")) == {"count": 0}


class TestRecordedMiscellany:
    async def test_answers_a_preflight(self, http: HttpClient) -> None:
        headers = {"Origin": "http://localhost:4173", "Access-Control-Request-Method": "DELETE"}
        answer = await http.options("/conversations", headers=headers)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:4173"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Access-Control-Max-Age"] == "600"
        assert "Origin" in answer.headers["Vary"]
        allowed = answer.headers["Access-Control-Allow-Methods"]
        assert {"DELETE", "GET", "PATCH", "POST", "PUT"} <= set(allowed.split(", "))

    async def test_reports_publicly_that_no_model_is_configured(self, http: HttpClient) -> None:
        assert "model" in await json_of(await http.get("/model/current"))
        assert "gpu_available" in await json_of(await http.get("/gpu/health"))
        assert (await json_of(await http.get("/health")))["status"] == "healthy"

    async def test_answers_503_to_a_completion(self, http: HttpClient) -> None:
        await signed_in(http)
        asked = {
            "messages": [{"role": "user", "content": "hi"}],
            "temperature": 0.7,
            "max_tokens": 2000,
            "stream": False,
        }
        answer = await http.post("/chat/completions", json=asked)
        await problem(answer, 503, "model_not_configured")
