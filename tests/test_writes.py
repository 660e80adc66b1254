"""What reaches MongoDB: each change in one transaction with its entry, and its owner in the filter.

The driver's own monitoring tells. Every operation is called, and nothing is said of how the
service does it.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from chatvault.accounts import service as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.actor import Actor, Door, Role
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.routes import COMMITS
from chatvault.conversations.store import MessageStore
from chatvault.external import Provider
from chatvault.fields import now
from chatvault.importing import service as importing
from chatvault.importing.formats.localstorage import CONVERSATIONS_KEY, SETTINGS_KEY
from chatvault.settings import Settings
from conftest import HttpClient, SignIn
from support.exports import SETTINGS, exported
from support.factories import PASSWORD, account, begin, message, settings_for
from support.fake_model import FakeModel
from support.imports import deps_of, read
from support.operations import AUDITED, CALLS, call, key_of, make_things
from support.searching import until
from support.talking import settled
from support.watching import Watch, listen

KEYED = {"Idempotency-Key": "once"}
SAY = [{"role": "user", "content": "Hello"}]
# With a model, these have something to do.
WITH_MODEL = {
    "/chat/completions": {"messages": SAY},
    "/v1/chat/completions": {"messages": SAY},
}
# What changes nothing as it is called here.
CHANGELESS = {
    "POST /chat/completions": "all it writes is what was used",
    "POST /v1/chat/completions": "all it writes is what was used",
    "POST /conversations/{conversation_id}/summary": "too short for one",
    "PUT /conversations/{conversation_id}/active-leaf": "that branch is shown already",
    "POST /conversations/{conversation_id}/restore": "it is not in the trash",
    "POST /conversations:batch": "its conversation does not exist; tests/batches has those that do",
    "PATCH /imports/uploads/{upload_id}": "its bytes go to a file",
    "POST /conversations/{conversation_id}/commands/{command_id}/approve": "approved already",
    "POST /conversations/{conversation_id}/replies/{reply_id}/cancel": "ended already",
    "POST /admin/audit-logs/verifications": "a verification is nobody's data",
    "PUT /admin/quotas/{subject}": "limits are an administrator's",
}

# Operators read how many jobs of everybody's wait, and nothing of whose they are.
OF_EVERYBODY = {"GET /admin/health", "GET /metrics"}
# Reads that change something.
COUNTED = {"GET /shared/{token}": "counts the view of a link"}


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Listens to every connection of the application."""
    return listen(monkeypatch)


@pytest.fixture
def settings(data_dir: Path, fake_model: FakeModel) -> Settings:
    provider = Provider(base_url=fake_model.url, api_key=SecretStr("sk"), model="gpt-twin")
    return settings_for(data_dir, providers={"twin": provider}, replies_per_minute=10_000)


async def _rest(database: Any) -> None:
    """Wait until no reply is being written, and no job of one is left."""

    async def rests() -> bool:
        writing = {"active_reply_id": {"$ne": None}}
        left: int = await database.conversations.count_documents(writing)
        left += await database.reply_jobs.count_documents({})
        return left == 0

    await until(rests)


class TestOperations:
    async def test_store_changes_and_audit_entry_in_one_transaction(
        self,
        app: web.Application,
        sign_in: SignIn,
        http: HttpClient,
        watch: Watch,
        database: Any,
    ) -> None:
        alice = await sign_in("alice", role=Role.ADMIN)
        for operation in sorted(AUDITED, key=lambda found: found.path == "/auth/logout"):
            things = await make_things(alice, http, operation)
            if operation.path == "/trash":
                await alice.delete(f"/conversations/{things.conversation_id}")
            watch.forget()

            if operation.path in WITH_MODEL:
                answer = await alice.post(operation.path, json=WITH_MODEL[operation.path])
            else:
                answer = await call(alice, operation, things)
            await answer.read()

            name = " ".join(key_of(operation))
            known = CALLS[key_of(operation)].get("status", operation.status)
            assert answer.status in {known, operation.status}, f"{name}: {await answer.text()}"
            wrong = [
                each
                for each in watch.wrong()
                if name not in OF_EVERYBODY or "asked without its owner" not in each
            ]
            assert wrong == [], name
            is_change = operation.method != "GET" or name in COUNTED
            is_change = is_change and name not in CHANGELESS
            expected = is_change and answer.status < 400
            assert bool(watch.changes) is expected, f"{name}: {watch.changes}"
            await app[COMMITS].drain()
            await _rest(database)

    async def test_do_so_in_all_their_variants(
        self,
        app: web.Application,
        alice: HttpClient,
        watch: Watch,
        database: Any,
    ) -> None:
        conversation = await begin(
            alice, title="T", messages=[message(), message("x", "assistant")]
        )
        path = f"/conversations/{conversation['id']}"
        last = conversation["messages"][-1]["id"]
        new = message("y", "assistant", replaces=last, id="y")
        recorded = {"X-Conversation-Id": conversation["id"]}
        requests: list[tuple[str, str, Any, dict[str, str]]] = [
            ("POST", f"{path}/messages", new, {}),
            ("POST", f"{path}/messages", new, {}),
            ("POST", f"{path}/messages", message("z"), KEYED),
            ("POST", f"{path}/messages", message("z"), KEYED),
            ("POST", f"{path}/messages:batch", {"messages": [message("z")] * 300}, {}),
            ("PUT", path, {"messages": [message(str(n)) for n in range(1200)]}, {"If-Match": "*"}),
            ("POST", f"{path}/replies", {"content": "Hello"}, KEYED),
            ("POST", f"{path}/replies", {"regenerate": "replace"}, {}),
            ("POST", f"{path}/replies", {"regenerate": "branch"}, {}),
            ("POST", f"{path}/summary", None, KEYED),
            ("POST", "/chat/completions", {"messages": SAY}, KEYED),
            ("POST", "/chat/completions", {"messages": SAY}, recorded),
            ("POST", "/conversations", {"initial_message": "Hello"}, {}),
            ("DELETE", path, None, {}),
            ("DELETE", "/conversations", None, {}),
        ]
        for method, where, body, headers in requests:
            watch.forget()
            answer = await alice.request(method, where, json=body, headers=headers)
            text = await answer.text()
            assert answer.status < 300, f"{method} {where}: {text}"
            if where == "/conversations" and method == "POST":
                await settled(alice, json.loads(text))
            await app[COMMITS].drain()
            assert list(watch.wrong()) == [], f"{method} {where}"

    async def test_do_so_at_the_command_line(
        self, app: web.Application, alice: HttpClient, watch: Watch
    ) -> None:
        operator, hasher = Actor(door=Door.CLI), PasswordHasher(4)
        dump = {CONVERSATIONS_KEY: [exported(1), exported(2)], SETTINGS_KEY: SETTINGS}
        content = read(json.dumps(dump).encode(), name="my.json", now=now())
        user = await accounts.find_by_username("alice")
        assert user is not None
        owner = Actor(door=Door.CLI, user_id=user.id, role=user.role)
        works: list[Callable[[], Awaitable[Any]]] = [
            lambda: accounts.create(operator, hasher, **account("carol"), password=PASSWORD),
            lambda: accounts.change_role(operator, username="alice", role=Role.ADMIN),
            lambda: accounts.set_active(operator, username="alice", is_active=False),
            lambda: importing.import_file(
                owner, deps_of(app, CommitQueue(MessageStore())), content=content
            ),
        ]
        for number, work in enumerate(works):
            watch.forget()
            await work()
            assert list(watch.wrong()) == [], number
            assert watch.changes, number
        hasher.close()
