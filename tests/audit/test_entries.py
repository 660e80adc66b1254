"""What an operation leaves in the audit log, and what never gets there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import ObjectId

from conftest import HttpClient, SignIn
from support.factories import PASSWORD, begin, message

FIELDS = {
    "_id", "at", "action", "outcome", "code", "door", "user_id", "role", "session_id",
    "resource_type", "resource_id", "address", "user_agent", "request_id", "duration_ms", "details",
    "newest_block", "key_id", "mac",
}  # fmt: skip


async def last(database: Any, action: str, **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = await database.audit_logs.find_one(
        {"action": action, **more}, sort=[("_id", -1)]
    )
    assert entry is not None, f"no entry about {action}"
    assert entry.keys() == FIELDS
    return entry


@asynccontextmanager
async def broken_audit_log(database: Any) -> AsyncIterator[None]:
    """Let MongoDB refuse every entry."""
    nothing = {"$jsonSchema": {"required": ["nothing has this"]}}
    await database.command("collMod", "audit_logs", validator=nothing)
    try:
        yield
    finally:
        await database.command("collMod", "audit_logs", validator={})


class TestSuccess:
    async def test_records_actor_action_time_address_and_duration(
        self, alice: HttpClient, database: Any
    ) -> None:
        user = await database.users.find_one()
        session = await database.sessions.find_one()

        conversation = await begin(alice)

        entry = await last(database, "conversation.create")
        assert entry["user_id"] == user["_id"]
        assert entry["role"] == "user"
        assert entry["session_id"] == session["_id"]
        assert entry["door"] == "http"
        assert (entry["outcome"], entry["code"]) == ("success", None)
        assert (entry["resource_type"], entry["resource_id"]) == (
            "conversation",
            conversation["id"],
        )
        assert entry["address"] == "127.0.0.1"
        assert entry["user_agent"].startswith("Python/")
        assert 0 < entry["duration_ms"] < 5000
        assert entry["at"] >= session["created_at"]

    async def test_names_the_session_that_a_login_opened(
        self, alice: HttpClient, database: Any
    ) -> None:
        session = await database.sessions.find_one()

        entry = await last(database, "session.login")

        assert entry["resource_id"] == str(session["_id"])
        assert entry["session_id"] == session["_id"]
        assert entry["user_id"] == session["user_id"]

    async def test_truncates_the_user_agent_to_256_characters(
        self, alice: HttpClient, database: Any
    ) -> None:
        await alice.get("/auth/me", headers={"User-Agent": "x" * 1000})

        assert (await last(database, "user.get"))["user_agent"] == "x" * 256

    async def test_accepts_a_user_agent_of_any_bytes(
        self, alice: HttpClient, database: Any
    ) -> None:
        await alice.get("/auth/me", headers={"User-Agent": "caf\udce9 \U0001f600"})

        assert (await last(database, "user.get"))["user_agent"].startswith("caf")

    async def test_is_stored_before_the_answer_is_sent(
        self, alice: HttpClient, database: Any
    ) -> None:
        for number in range(1, 11):
            await alice.get("/conversations/stats/count")
            query = {"action": "conversation.count"}
            assert await database.audit_logs.count_documents(query) == number


class TestDenied:
    async def test_names_the_actor_and_the_refused_action(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        his = await database.sessions.find_one(sort=[("_id", -1)])

        await bob.get(f"/conversations/{conversation['id']}")

        entry = await last(database, "conversation.get")
        assert (entry["outcome"], entry["code"]) == ("denied", "not_found")
        assert entry["user_id"] == his["user_id"]
        assert entry["session_id"] == his["_id"]
        assert entry["resource_id"] == conversation["id"]

    async def test_stores_nothing_of_a_malformed_id(self, alice: HttpClient, database: Any) -> None:
        await alice.get("/conversations/planted-in-the-path")

        entry = await last(database, "conversation.get")
        assert (entry["outcome"], entry["resource_id"]) == ("denied", None)

    async def test_names_the_account_of_a_wrong_password_by_id(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        user = await database.users.find_one()

        await http.post("/auth/login", json={"username": "alice", "password": "wrong"})

        entry = await last(database, "session.login", outcome="denied")
        assert entry["code"] == "invalid_credentials"
        assert entry["resource_id"] == str(user["_id"])
        assert entry["user_id"] is None

    async def test_stores_the_keyed_hash_of_an_unknown_name(
        self, http: HttpClient, database: Any
    ) -> None:
        for name in ("plantedname", "PLANTEDNAME", "othername"):
            await http.post("/auth/login", json={"username": name, "password": "wrong"})

        query = {"action": "session.login"}
        entries = await database.audit_logs.find(query).sort("_id", 1).to_list()
        hashes = [entry["details"]["name_hash"] for entry in entries]
        assert hashes[0] == hashes[1] != hashes[2]
        assert len(hashes[0]) == 32
        assert "planted" not in str(entries).lower()

    async def test_records_every_failed_login_at_once(
        self, http: HttpClient, database: Any
    ) -> None:
        for _ in range(5):
            await http.post("/auth/login", json={"username": "nobody", "password": "wrong"})

        assert await database.audit_logs.count_documents({"action": "session.login"}) == 5


class TestFailed:
    async def test_names_the_error(self, alice: HttpClient, database: Any) -> None:
        await alice.post("/conversations", json={"title": ["planted"]})

        entry = await last(database, "conversation.create")
        assert (entry["outcome"], entry["code"]) == ("failed", "invalid_input")
        assert entry["user_id"] is not None
        assert "planted" not in str(entry)


class TestOneTransaction:
    """Where the entry cannot be stored, the change does not happen."""

    async def test_includes_the_change_and_its_entry(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice, title="before")
        path = f"/conversations/{conversation['id']}"
        session_id = (await (await alice.get("/auth/sessions")).json())[0]["id"]
        collections = ("users", "sessions", "conversations", "preferences")
        before = {name: await database[name].find().to_list() for name in collections}
        passwords = {"current_password": PASSWORD, "new_password": "another horse"}
        newcomer = {"username": "eve", "email": "eve@example.com", "password": PASSWORD}
        credentials = {"username": "alice", "password": PASSWORD}

        async with broken_audit_log(database):
            answers = [
                await alice.post("/conversations", json={"title": "new"}),
                await alice.post(f"{path}/messages", json=message()),
                await alice.put(path, json={"title": "after"}),
                await alice.patch(path, json={"metadata": {"a": 1}}),
                await alice.delete(path),
                await alice.delete("/conversations"),
                await alice.put("/users/me/preferences", json={"theme": "dark"}),
                await alice.patch("/users/me/preferences", json={"theme": "dark"}),
                await alice.post("/auth/password", json=passwords),
                await alice.delete(f"/auth/sessions/{session_id}"),
                await alice.delete("/auth/sessions"),
                await alice.post("/auth/logout"),
                await http.post("/auth/register", json=newcomer),
                await http.post("/auth/login", json=credentials),
            ]

        assert {answer.status for answer in answers} <= {500, 503}
        assert {name: await database[name].find().to_list() for name in collections} == before
        assert (await alice.get(path)).status == 200

    async def test_withholds_an_answer_without_an_entry(
        self, alice: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice, title="planted")
        paths = (
            "/auth/me",
            "/auth/sessions",
            "/conversations",
            f"/conversations/{conversation['id']}",
            "/conversations/stats/count",
            "/users/me/preferences",
        )

        async with broken_audit_log(database):
            for path in paths:
                answer = await alice.get(path)
                assert answer.status in {500, 503}, path
                assert "planted" not in await answer.text()

    async def test_failure_to_record_a_refusal_is_an_error(
        self, alice: HttpClient, database: Any
    ) -> None:
        async with broken_audit_log(database):
            answer = await alice.get(f"/conversations/{ObjectId()}")

        assert answer.status in {500, 503}


class TestSecrecy:
    async def test_stores_no_message_text_in_any_entry(
        self, sign_in: SignIn, http: HttpClient, database: Any
    ) -> None:
        alice = await sign_in("PlantedUser")
        token = next(iter(alice.session.cookie_jar)).value
        conversation = await begin(
            alice,
            title="planted title",
            tags=["plantedtag"],
            metadata={"plantedkey": "planted value"},
            messages=[message("planted text", metrics={"plantedmetric": 1}, model="plantedmodel")],
        )
        path = f"/conversations/{conversation['id']}"
        await alice.post(f"{path}/messages", json=message("planted too", id="planted-message-id"))
        await alice.post(f"{path}/messages", json=message("planted 2", id="planted-message-id"))
        await alice.put(path, json={"title": "planted again", "metadata": {"plantedkey2": 1}})
        await alice.patch(path, json={"metadata": {"plantedkey2": None, "plantedkey3": 2}})
        await alice.put(path, json={"planted_field": "planted"})
        await alice.put(path, data=b"planted", headers={"Content-Type": "application/json"})
        await alice.get("/conversations?status=planted")
        await alice.get("/conversations?planted=1")
        await alice.get("/conversations/planted")
        await alice.get("/admin/audit-logs?action=planted")
        await alice.get(path)
        await alice.put("/users/me/preferences", json={"plantedpref": "planted", "theme": "dark"})
        await alice.put("/users/me/preferences", json={"theme": "planted"})
        await alice.post("/chat/completions", json={"messages": [message("planted prompt")]})
        await alice.delete(path, headers={"If-Match": '"planted"'})
        await alice.delete(path)
        newcomer = {"username": "PlantedTwo", "email": "planted@example.com", "password": PASSWORD}
        await http.post("/auth/register", json=newcomer)
        await http.post("/auth/register", json=newcomer)
        await http.post("/auth/register", json={**newcomer, "email": "planted"})
        for name in ("PlantedTwo", "planted@example.com", "plantednobody"):
            await http.post("/auth/login", json={"username": name, "password": "planted secret"})
        await alice.post(
            "/auth/password",
            json={"current_password": "planted secret", "new_password": "planted secret 2"},
        )
        await alice.post("/auth/logout")
        await alice.get("/auth/me", headers={"Cookie": f"session_id={token}"})

        raw = database.get_collection("audit_logs").with_options(codec_options=RAW)
        stored = [bytes(entry.raw) async for entry in raw.find()]

        assert len(stored) > 25
        for entry in stored:
            for secret in (b"planted", token.encode(), b"example.com", PASSWORD.encode()):
                assert secret not in entry.lower() if secret.islower() else secret not in entry


def _raw_codec() -> Any:
    from bson.codec_options import CodecOptions  # noqa: PLC0415  # beside its only use
    from bson.raw_bson import RawBSONDocument  # noqa: PLC0415  # as above

    return CodecOptions(document_class=RawBSONDocument)


RAW = _raw_codec()


class TestUpdates:
    async def test_are_never_made(self, alice: HttpClient, database: Any) -> None:
        await begin(alice)
        before = await database.audit_logs.find().sort("_id", 1).to_list()

        await begin(alice)
        await alice.post("/auth/logout")

        ids = [entry["_id"] for entry in before]
        assert await database.audit_logs.find({"_id": {"$in": ids}}).sort("_id", 1).to_list() == (
            before
        )


class TestOperator:
    @pytest.mark.parametrize("action", ["user.create", "session.login"])
    async def test_is_recorded_with_the_command_line(
        self, alice: HttpClient, database: Any, action: str
    ) -> None:
        entry = await last(database, action)

        assert entry["door"] == ("cli" if action == "user.create" else "http")
        assert (entry["user_id"] is None) == (action == "user.create")
