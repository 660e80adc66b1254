"""Each route demands a scope, and a key without it is refused."""

import inspect
import re
from typing import Any

import pytest
from aiohttp import web

from chatvault.actor import Actor, Role, Scope
from chatvault.audit.actions import Action
from chatvault.http.routing import SESSION_ONLY, Routes
from conftest import HttpClient, SignIn
from support.answers import problem
from support.operations import CALLS, OPERATIONS, PRIVATE, call, key_of
from support.pages import ROOT
from support.talking import EVENT_STREAM

# What no program may do, as it would outlast the key, or is about the person who is signed in.
FOR_SESSIONS = {
    "DELETE /admin/users/{user_id}", "PUT /admin/users/{user_id}/password-reset",
    "POST /auth/password", "POST /auth/logout", "GET /auth/sessions", "DELETE /auth/sessions",
    "DELETE /auth/sessions/{session_id}", "GET /auth/keys", "POST /auth/keys", "DELETE /auth/keys",
    "DELETE /auth/keys/{key_id}", "PUT /mcp/rules/{tool}", "DELETE /mcp/rules/{tool}",
    "DELETE /users/me", "POST /conversations/{conversation_id}/links",
    "POST /auth/oidc/link", "DELETE /auth/oidc/link",
}  # fmt: skip


class TestRoutes:
    def test_each_demand_a_scope_or_a_session(self) -> None:
        for operation in OPERATIONS:
            if operation.is_public:
                assert operation.scope is None, operation.path
            else:
                is_for_sessions = " ".join(key_of(operation)) in FOR_SESSIONS
                expected = str if is_for_sessions else Scope
                assert type(operation.scope) is expected, key_of(operation)

    def test_use_all_scopes(self) -> None:
        assert {operation.scope for operation in PRIVATE} == {*Scope, SESSION_ONLY}

    def test_require_no_write_scope_to_read(self) -> None:
        """But one tells how far an upload is, which only who uploads needs."""
        for operation in PRIVATE:
            if operation.scope is Scope.CONVERSATIONS_WRITE and operation.method == "GET":
                assert operation.path == "/imports/uploads/{upload_id}"
            if operation.scope is Scope.CONVERSATIONS_READ:
                assert operation.method == "GET", operation.path

    def test_are_in_the_documentation_as_they_are(self) -> None:
        table = (ROOT / "docs" / "api.md").read_text().partition("**API keys.**")[2]
        told: dict[str, str] = {}
        for line in table.partition("\n\nA key without")[0].splitlines():
            if line.startswith(("| `", "| no key")):
                first, *calls = re.findall(r"`([^`]+)`", line)
                is_scope = first in set(Scope)
                scope = first if is_scope else SESSION_ONLY
                told |= dict.fromkeys(calls if is_scope else [first, *calls], scope)
        assert told == {" ".join(key_of(each)): each.scope for each in PRIVATE}

    def test_cannot_be_made_without(self) -> None:
        async def of_a_user(_request: web.Request, actor: Actor) -> Any:
            """Read it."""

        async def of_anybody(_request: web.Request) -> Any:
            """Read it."""

        routes = Routes("things")
        with pytest.raises(TypeError, match="GET /things"):
            routes.route("GET", "/things", Action.AGENT_LIST)(of_a_user)
        with pytest.raises(TypeError, match="GET /things"):
            routes.route("GET", "/things", None, scope=Scope.ADMIN)(of_anybody)
        assert inspect.signature(of_a_user).parameters
        assert not list(routes)


class TestKeys:
    async def test_without_the_scope_are_refused(
        self, sign_in: SignIn, use_key: Any, database: Any
    ) -> None:
        await sign_in("alice", role=Role.ADMIN)
        without = {
            scope: await use_key(scopes=[each for each in Scope if each is not scope])
            for scope in Scope
        }
        everything = await use_key()
        for operation in PRIVATE:
            scope = operation.scope
            client = without[scope] if isinstance(scope, Scope) else everything

            answer = await call(client, operation)

            name = " ".join(key_of(operation))
            if isinstance(scope, Scope):
                refused = await problem(answer, 403, "insufficient_scope")
                assert (refused["scope"], scope in refused["detail"]) == (scope, True), name
                challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
                assert answer.headers["WWW-Authenticate"] == challenge
            else:
                await problem(answer, 403, "session_required")
            query = {"request_id": answer.headers["X-Request-ID"]}
            [entry] = await database.audit_logs.find(query).to_list()
            assert (entry["action"], entry["outcome"]) == (operation.action, "denied"), name
            assert entry["api_key_id"] is not None
            assert entry["user_id"] is not None
        assert await database.conversations.count_documents({}) == 0

    async def test_with_that_scope_alone_are_let_in(self, sign_in: SignIn, use_key: Any) -> None:
        """Holds let auditors alone read; an admin is refused for that, not for the scope."""
        await sign_in("alice", role=Role.ADMIN)
        clients = {scope: await use_key(scopes=[scope]) for scope in Scope}
        for operation in PRIVATE:
            if isinstance(operation.scope, Scope):
                answer = await call(clients[operation.scope], operation)
                if answer.status in {401, 403}:
                    assert (await answer.json())["code"] == "permission_denied", key_of(operation)
                    assert CALLS[key_of(operation)]["status"] == answer.status
                await answer.read()

    async def test_to_write_start_no_model(
        self, alice: HttpClient, use_key: Any, database: Any
    ) -> None:
        writes = await use_key(scopes=[Scope.CONVERSATIONS_WRITE])

        answer = await writes.post("/conversations", json={"initial_message": "Hello"})

        refused = await problem(answer, 403, "insufficient_scope")
        assert refused["scope"] == "agents:run"
        assert (await writes.post("/conversations", json={})).status == 201
        assert await database.conversations.count_documents({}) == 1

    async def test_of_a_user_open_nothing_that_the_user_may_not(
        self, alice: HttpClient, bob: HttpClient, use_key: Any
    ) -> None:
        hers = await (await alice.post("/conversations", json={"title": "Hers"})).json()
        his = await use_key("bob")

        assert await (await his.get("/conversations")).json() == []
        for method in ("GET", "DELETE"):
            answer = await his.request(method, f"/conversations/{hers['id']}")
            assert answer.status == 404
        for operation in PRIVATE:
            if operation.path.startswith("/admin/"):
                is_for_sessions = operation.scope is SESSION_ONLY
                code = "session_required" if is_for_sessions else "permission_denied"
                await problem(await call(his, operation), 403, code)

    async def test_have_the_role_that_their_user_has_now(
        self, sign_in: SignIn, use_key: Any, database: Any
    ) -> None:
        await sign_in("alice", role=Role.ADMIN)
        client = await use_key()
        assert (await client.get("/admin/users")).status == 200

        await database.users.update_one({}, {"$set": {"role": "user"}})

        assert (await client.get("/admin/users")).status == 403
        assert (await client.get("/conversations")).status == 200

    async def test_follow_a_stream_with_the_scope_to_read(
        self, alice: HttpClient, use_key: Any
    ) -> None:
        reads = await use_key(scopes=[Scope.CONVERSATIONS_READ])
        begun = await (await alice.post("/conversations", json={})).json()
        path = f"/conversations/{begun['id']}/replies"

        asked = await reads.post(path, json={"content": "Hi"}, headers=EVENT_STREAM)

        await problem(asked, 403, "insufficient_scope")
        assert (await reads.get(f"/conversations/{begun['id']}/messages")).status == 200
