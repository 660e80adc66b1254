"""Calls of each audited operation, with what they need."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from typing import Any

import bson
import pytest
from bson import ObjectId

from chatvault.access import Access, Need
from chatvault.batches.models import BatchJob
from chatvault.commands.models import ApprovalRule, Command, ToolGrant
from chatvault.commands.proposals import made
from chatvault.conversations.categories import Categories
from chatvault.conversations.grants import Grant
from chatvault.conversations.group_grants import GroupGrant
from chatvault.conversations.links import Link, LinkPart
from chatvault.conversations.models import Conversation
from chatvault.erasure.models import Erasure
from chatvault.exporting.jobs.models import ExportChunk, ExportJob
from chatvault.fields import now
from chatvault.groups.models import Group, Membership
from chatvault.http.routing import Operation
from chatvault.importing.models import ImportJob, Upload
from chatvault.links.token import hash_token, new_token, place_of, snapshot_key
from chatvault.operations import ROUTES
from chatvault.replies.models import Reply
from chatvault.vault.envelope import Compressor
from conftest import HttpClient
from support.exports import exported
from support.factories import PASSWORD, account, begin, message
from support.keys import make_key
from support.signing_in import insert_user

OPERATIONS = list(chain.from_iterable(ROUTES))
FIRST = message("first", id="first-message")


@dataclass(frozen=True)
class Things:
    """Ids of Alice's that calls need, to be put into paths."""

    conversation_id: str
    message_id: str
    session_id: str
    agent_id: str
    reply_id: str
    command_id: str
    import_id: str
    upload_id: str
    tool: str
    attachment_id: str = "nothing"
    category_id: str = field(default="0" * 24, kw_only=True)
    export_id: str = field(default="0" * 24, kw_only=True)
    number: int = field(default=1, kw_only=True)
    hold_id: str = field(default="0" * 24, kw_only=True)
    key_id: str = field(default="0" * 24, kw_only=True)
    batch_id: str = field(default="0" * 24, kw_only=True)
    # A limit of auditors concerns no test.
    subject: str = field(default="auditor", kw_only=True)
    template_id: str = field(default="0" * 24, kw_only=True)
    erasure_id: str = field(default="0" * 24, kw_only=True)
    link_id: str = field(default="0" * 24, kw_only=True)
    token: str = field(default="nothing", kw_only=True)
    user: str = field(default="nobody", kw_only=True)
    note_id: str = field(default="0" * 24, kw_only=True)
    user_id: str = field(default="0" * 24, kw_only=True)
    role: str = field(default="user", kw_only=True)
    group_id: str = field(default="0" * 24, kw_only=True)


# Each operation's call: its body, its status if it cannot succeed, and its outcome if the status
# does not say so.
CALLS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/auth/register"): {"json": {**account("eve"), "password": PASSWORD}},
    ("GET", "/auth/me"): {},
    ("POST", "/auth/password"): {
        "json": {"current_password": PASSWORD, "new_password": PASSWORD},
    },
    ("POST", "/auth/login"): {"json": {"username": "alice", "password": PASSWORD}},
    ("POST", "/auth/logout"): {},
    ("GET", "/auth/oidc/callback"): {
        "params": {"state": "x"},
        "allow_redirects": False,
        "status": 303,
        "outcome": "denied",
    },
    ("POST", "/auth/oidc/link"): {"json": {}, "status": 404},
    ("DELETE", "/auth/oidc/link"): {"status": 404},
    ("POST", "/auth/oidc/backchannel-logout"): {"data": {"logout_token": "x"}, "status": 404},
    ("GET", "/auth/sessions"): {},
    ("DELETE", "/auth/sessions"): {},
    ("DELETE", "/auth/sessions/{session_id}"): {},
    ("GET", "/auth/keys"): {},
    ("POST", "/auth/keys"): {"json": {"name": "Backup", "scopes": ["export"]}},
    ("DELETE", "/auth/keys"): {},
    ("DELETE", "/auth/keys/{key_id}"): {},
    ("GET", "/conversations"): {},
    ("GET", "/search"): {"params": {"q": "hello"}},
    ("POST", "/conversations"): {"json": {}},
    ("DELETE", "/conversations"): {},
    ("GET", "/conversations/stats/count"): {},
    ("GET", "/conversations/stats"): {},
    ("POST", "/conversations/{conversation_id}/archive"): {"json": {"archived": True}},
    ("PUT", "/conversations/{conversation_id}/archive"): {"json": {"archived": True}},
    ("POST", "/conversations/{conversation_id}/replies"): {
        "json": {"content": "Hello"},
        "status": 503,
    },
    ("GET", "/conversations/{conversation_id}/replies/{reply_id}"): {},
    ("GET", "/conversations/{conversation_id}/replies/{reply_id}/events"): {},
    ("POST", "/conversations/{conversation_id}/replies/{reply_id}/cancel"): {},
    ("GET", "/conversations/{conversation_id}/context"): {},
    ("POST", "/conversations/{conversation_id}/summary"): {},
    ("GET", "/conversations/{conversation_id}"): {},
    ("PUT", "/conversations/{conversation_id}"): {"json": {"title": "new"}},
    ("PATCH", "/conversations/{conversation_id}"): {"json": {"title": "new"}},
    ("DELETE", "/conversations/{conversation_id}"): {},
    ("POST", "/conversations/{conversation_id}/restore"): {},
    ("DELETE", "/trash"): {},
    ("GET", "/conversations/{conversation_id}/messages"): {},
    ("POST", "/conversations/{conversation_id}/messages"): {"json": message()},
    ("POST", "/conversations/{conversation_id}/messages:batch"): {
        "json": {"messages": [message(), message()]},
    },
    ("GET", "/conversations/{conversation_id}/messages/outline"): {},
    ("POST", "/conversations/{conversation_id}/fork"): {"json": {}},
    ("POST", "/conversations/{conversation_id}/links"): {"json": {}},
    ("GET", "/conversations/{conversation_id}/links"): {},
    ("DELETE", "/conversations/{conversation_id}/links"): {},
    ("GET", "/links"): {},
    ("DELETE", "/links"): {},
    ("DELETE", "/links/{link_id}"): {},
    ("GET", "/shared/{token}"): {},
    ("POST", "/shared/{token}/fork"): {"json": {}},
    ("GET", "/conversations/{conversation_id}/messages/{message_id}"): {},
    ("PATCH", "/conversations/{conversation_id}/messages/{message_id}"): {
        "json": {"content": "edited"},
    },
    ("DELETE", "/conversations/{conversation_id}/messages/{message_id}"): {},
    ("GET", "/conversations/{conversation_id}/messages/{message_id}/revisions"): {},
    ("GET", "/conversations/{conversation_id}/forks"): {},
    ("PUT", "/conversations/{conversation_id}/active-leaf"): {
        "json": {"message_id": "first-message"},
    },
    ("GET", "/events"): {"params": {"follow": "false"}},
    ("GET", "/ws"): {"status": 426},
    # Alice is the last administrator here.
    ("DELETE", "/users/me"): {"json": {"password": PASSWORD}, "status": 409},
    ("GET", "/users/me/data"): {},
    ("GET", "/erasures/{erasure_id}"): {"headers": {"Erasure-Token": "token"}},
    ("GET", "/users/me/preferences"): {},
    ("PUT", "/users/me/preferences"): {"json": {"theme": "dark"}},
    ("PATCH", "/users/me/preferences"): {"json": {"theme": "dark"}},
    ("GET", "/admin/audit-logs"): {},
    ("GET", "/admin/audit-logs/stats"): {},
    ("GET", "/admin/audit-logs/export"): {},
    ("GET", "/users/me/audit-logs"): {},
    ("GET", "/admin/retention"): {},
    ("PUT", "/admin/retention/{role}"): {"json": {"days": 3650}},
    ("GET", "/users/me/retention"): {},
    ("PUT", "/users/me/retention"): {"json": {"days": 400}},
    ("GET", "/admin/holds"): {},
    ("POST", "/admin/holds"): {"json": {"user_id": "0" * 24, "reason": "a"}, "status": 404},
    ("DELETE", "/admin/holds/{hold_id}"): {"status": 404},
    ("GET", "/admin/holds/{hold_id}/conversations"): {"status": 403},
    ("GET", "/admin/holds/{hold_id}/conversations/{conversation_id}/messages"): {"status": 403},
    ("GET", "/admin/users"): {},
    ("POST", "/admin/users"): {"json": {"username": "erin", "email": "erin@example.org"}},
    ("GET", "/admin/users/{user_id}"): {"status": 404},
    ("PATCH", "/admin/users/{user_id}"): {"json": {"is_active": False}, "status": 404},
    ("DELETE", "/admin/users/{user_id}"): {"status": 404},
    ("DELETE", "/admin/users/{user_id}/sessions"): {"status": 404},
    ("DELETE", "/admin/users/{user_id}/keys"): {"status": 404},
    ("PUT", "/admin/users/{user_id}/password-reset"): {"status": 404},
    ("POST", "/auth/password-reset"): {
        "json": {"token": "none", "new_password": PASSWORD},
        "status": 401,
    },
    ("POST", "/auth/first-admin"): {
        "json": {**account("eve"), "password": PASSWORD, "token": "none"},
        "status": 401,
    },
    ("GET", "/admin/health"): {},
    ("GET", "/metrics"): {},
    ("GET", "/admin/usage"): {},
    ("GET", "/usage"): {},
    ("GET", "/admin/quotas"): {},
    ("GET", "/admin/quotas/{subject}"): {},
    ("PUT", "/admin/quotas/{subject}"): {"json": {}},
    ("GET", "/agents"): {},
    ("POST", "/agents"): {"json": {"name": "Helper"}},
    ("GET", "/agents/{agent_id}"): {},
    ("PATCH", "/agents/{agent_id}"): {"json": {"name": "Another"}},
    ("DELETE", "/agents/{agent_id}"): {},
    ("GET", "/tags"): {},
    ("POST", "/tags/rename"): {"json": {"tag": "old", "to": "new"}},
    ("POST", "/tags/merge"): {"json": {"tags": ["old"], "into": "new"}},
    ("GET", "/categories"): {},
    ("POST", "/categories"): {"json": {"name": "Work"}},
    ("PATCH", "/categories/{category_id}"): {"json": {"name": "Home"}},
    ("DELETE", "/categories/{category_id}"): {},
    ("POST", "/conversations:batch"): {"json": {"action": "pin", "ids": ["0" * 24]}},
    ("GET", "/batches"): {},
    ("GET", "/batches/{batch_id}"): {},
    ("POST", "/batches/{batch_id}/cancel"): {},
    ("POST", "/batches/{batch_id}/undo"): {},
    ("GET", "/templates"): {},
    ("POST", "/templates"): {"json": {"name": "Letter"}},
    ("GET", "/templates/{template_id}"): {},
    ("PATCH", "/templates/{template_id}"): {"json": {"name": "Other"}},
    ("DELETE", "/templates/{template_id}"): {},
    ("GET", "/mcp/servers"): {},
    ("GET", "/mcp/tools"): {},
    ("GET", "/mcp/rules"): {},
    ("PUT", "/mcp/rules/{tool}"): {},
    ("DELETE", "/mcp/rules/{tool}"): {},
    ("GET", "/conversations/{conversation_id}/commands"): {},
    ("GET", "/conversations/{conversation_id}/commands/{command_id}"): {},
    ("POST", "/conversations/{conversation_id}/commands/{command_id}/approve"): {},
    ("POST", "/conversations/{conversation_id}/commands/{command_id}/reject"): {"status": 409},
    ("POST", "/conversations/{conversation_id}/messages/{message_id}/execute-command"): {
        "json": {"command": "ls"},
        "status": 503,
    },
    ("GET", "/conversations/{conversation_id}/notes"): {},
    ("POST", "/conversations/{conversation_id}/notes"): {
        "json": {"message_id": "first-message", "content": "Why?"},
    },
    ("PATCH", "/conversations/{conversation_id}/notes/{note_id}"): {"json": {"content": "So?"}},
    ("DELETE", "/conversations/{conversation_id}/notes/{note_id}"): {},
    ("GET", "/conversations/{conversation_id}/grants"): {},
    ("GET", "/conversations/{conversation_id}/people"): {},
    ("PUT", "/conversations/{conversation_id}/grants/{user}"): {"json": {"role": "viewer"}},
    ("DELETE", "/conversations/{conversation_id}/grants/{user}"): {},
    ("GET", "/conversations/{conversation_id}/group-grants"): {},
    ("PUT", "/conversations/{conversation_id}/group-grants/{group_id}"): {
        "json": {"role": "viewer"},
    },
    ("DELETE", "/conversations/{conversation_id}/group-grants/{group_id}"): {},
    ("GET", "/groups"): {},
    ("POST", "/groups"): {"json": {"name": "Team"}},
    ("GET", "/groups/{group_id}"): {},
    ("PATCH", "/groups/{group_id}"): {"json": {"name": "Other"}},
    ("DELETE", "/groups/{group_id}"): {},
    ("PUT", "/groups/{group_id}/members/{user}"): {"json": {"role": "member"}},
    ("DELETE", "/groups/{group_id}/members/{user}"): {},
    ("GET", "/conversations/{conversation_id}/attachments"): {},
    ("GET", "/conversations/{conversation_id}/attachments/{attachment_id}"): {},
    ("POST", "/conversations/{conversation_id}/attachments"): {
        "params": {"name": "a.txt"},
        "data": b"bytes",
    },
    ("POST", "/imports"): {"json": [exported(1)]},
    ("GET", "/imports"): {},
    ("GET", "/imports/{import_id}"): {},
    ("GET", "/imports/{import_id}/events"): {},
    ("POST", "/imports/{import_id}/cancel"): {},
    ("POST", "/imports/uploads"): {"headers": {"Upload-Length": "5"}},
    ("GET", "/imports/uploads/{upload_id}"): {},
    ("PATCH", "/imports/uploads/{upload_id}"): {
        "data": b"12345",
        "headers": {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    },
    ("DELETE", "/imports/uploads/{upload_id}"): {},
    ("GET", "/conversations/{conversation_id}/export"): {},
    ("GET", "/conversations/export"): {},
    ("GET", "/users/me/export"): {},
    ("POST", "/exports"): {"json": {}},
    ("GET", "/exports"): {},
    ("GET", "/exports/{export_id}"): {},
    ("GET", "/exports/{export_id}/parts/{number}"): {},
    ("DELETE", "/exports/{export_id}"): {},
    ("GET", "/admin/audit-logs/verifications"): {},
    ("POST", "/admin/audit-logs/verifications"): {},
    ("POST", "/chat/completions"): {"json": {"messages": []}, "status": 503},
    ("POST", "/v1/chat/completions"): {"json": {"messages": []}, "status": 503},
}  # fmt: skip
AUDITED = [operation for operation in OPERATIONS if operation.action is not None]
PRIVATE = [operation for operation in AUDITED if not operation.is_public]
# The list of tools is no secret, and a rule is looked up among the caller's own. An erasure is
# shown to whoever has its token, as its person has no account.
# A hold is not its user's, who must not know of it. A link is for whoever has its token. Accounts
# are shown to administrators, whose they are not.
WITHOUT_OWNER = {
    "/mcp/rules/{tool}", "/erasures/{erasure_id}", "/admin/holds/{hold_id}",
    "/admin/holds/{hold_id}/conversations",
    "/admin/holds/{hold_id}/conversations/{conversation_id}/messages",
    "/shared/{token}", "/shared/{token}/fork",
    "/admin/users/{user_id}", "/admin/users/{user_id}/sessions", "/admin/users/{user_id}/keys",
    "/admin/users/{user_id}/password-reset", "/admin/retention/{role}",
    "/admin/quotas/{subject}",
}  # fmt: skip
WITH_ID = [
    operation
    for operation in AUDITED
    if "{" in operation.path and operation.path not in WITHOUT_OWNER
]


def key_of(operation: Operation) -> tuple[str, str]:
    return operation.method, operation.path


def each(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "operation", operations, ids=[" ".join(key_of(operation)) for operation in operations]
    )


def some_things() -> Things:
    """Return ids of nothing that exists."""
    ids = [str(ObjectId()) for _ in range(7)]
    conversation, session, agent, reply, command, made, uploaded = ids
    return Things(
        conversation, "some-message", session, agent, reply, command, made, uploaded, "nothing"
    )


async def call(browser: HttpClient, operation: Operation, things: Things | None = None) -> Any:
    how = dict(CALLS[key_of(operation)])
    how.pop("status", None)
    how.pop("outcome", None)
    blank = things or some_things()
    return await browser.request(operation.method, operation.path.format(**vars(blank)), **how)


async def make_things(
    alice: HttpClient, http: HttpClient, operation: Operation, *, needs_all: bool | None = None
) -> Things:
    """Make a conversation, and what else the operation's call needs.

    By default, what deletes or exports finds one of everything. The other ids are of nothing that
    exists.
    """
    made = Made(alice, http, await begin(alice, messages=[FIRST], tags=["old"]))
    if needs_all is None:
        needs_all = operation.method == "DELETE" or "export" in operation.path
    found: dict[str, Any] = {
        name: await make(made)
        for name, (make, *words) in MAKERS.items()
        if needs_all or any(word in operation.path for word in words)
    }
    ids = {"conversation_id": made.conversation["id"], "message_id": FIRST["id"]}
    found |= {**ids, "tool": "lab__echo"}
    return replace(some_things(), **found)


@dataclass(frozen=True)
class Made:
    """A conversation of Alice's, and the browsers for what belongs to it or to her.

    Attributes:
        alice: her browser.
        http: a browser that nobody has signed in with.
        conversation: as it was created.
    """

    alice: HttpClient
    http: HttpClient
    conversation: dict[str, Any]


async def _make_session(made: Made) -> str:
    """Sign Alice in at another browser, which forgets it."""
    await made.http.post("/auth/login", json={"username": "alice", "password": PASSWORD})
    made.http.session.cookie_jar.clear()
    sessions = await (await made.alice.get("/auth/sessions")).json()
    return next(str(session["id"]) for session in sessions if not session["current"])


async def _make_access_key(made: Made) -> str:
    return str((await make_key(ObjectId(made.conversation["user_id"]))).key_id)


async def _make_agent(made: Made) -> str:
    return str((await (await made.alice.post("/agents", json={"name": "Hers"})).json())["id"])


async def _make_category(made: Made) -> str:
    await Categories.get_pymongo_collection().delete_many({})
    answer = await made.alice.post("/categories", json={"name": "Hers"})
    return str((await answer.json())["id"])


async def _make_template(made: Made) -> str:
    answer = await made.alice.post("/templates", json={"name": "Hers"})
    return str((await answer.json())["id"])


async def _make_upload(made: Made) -> str:
    # As many as there are operations are more than a user may have.
    await Upload.get_pymongo_collection().delete_many({})
    answer = await made.alice.post("/imports/uploads", headers={"Upload-Length": "5"})
    return str((await answer.json())["id"])


async def _make_attachment(made: Made) -> str:
    path = f"/conversations/{made.conversation['id']}/attachments"
    answer = await made.alice.post(path, params={"name": "a.txt"}, data=b"hers")
    return str((await answer.json())["id"])


async def make_import(conversation: dict[str, Any]) -> str:
    """Make an import that has ended."""
    made = ImportJob(
        user_id=ObjectId(conversation["user_id"]), state="completed", uploads=[], names=["a"],
        options={
            "dry_run": False, "salvage": False, "on_duplicate": "skip", "restore_deleted": False,
            "format": None,
        },
        size=1, place="here", created_at=now(), started_at=now(), ended_at=now(), lease_until=now(),
    ).model_dump(exclude={"id", "revision_id"})  # fmt: skip
    found = {"_id": ObjectId(), **made, "state": "completed"}
    await ImportJob.get_pymongo_collection().insert_one(found)
    return str(found["_id"])


async def _make_command(conversation: dict[str, Any]) -> str:
    """Make a command that has run, a rule of the user's, and a grant that makes it effective."""
    mine = {"user_id": ObjectId(conversation["user_id"])}
    of = {"_id": ObjectId(conversation["id"]), **mine}
    at = now()
    command = made(tool="lab__echo", arguments="{}", call_id=None, at=at)
    command |= {"status": "executed", "decided_by": "person"}
    await Conversation.get_pymongo_collection().update_one(
        of, {"$set": {"messages.0.commands": [command]}}
    )
    await Command.get_pymongo_collection().insert_one(
        {
            "_id": command["id"],
            **mine,
            "conversation_id": of["_id"],
            "message_id": "first-message",
            "reply_id": None,
            "tool": "lab__echo",
            "status": "executed",
            "created_at": at,
        }
    )
    roles = {"roles": ["admin"], "auto_approve_roles": ["admin"]}
    grants, rules = ToolGrant.get_pymongo_collection(), ApprovalRule.get_pymongo_collection()
    for tool in ("lab__echo", "terminal_command"):
        await grants.update_one({"_id": tool}, {"$set": roles}, upsert=True)
    rule = {**mine, "tool": "lab__echo"}
    await rules.update_one(rule, {"$set": {"created_at": at}}, upsert=True)
    return str(command["id"])


async def _make_erasure() -> str:
    """Make an erasure of somebody, whose token is `token`."""
    hashed = hashlib.sha256(b"token").digest()
    erasure = Erasure(user_id=ObjectId(), token_hash=hashed, due_at=now(), started_at=now())
    await erasure.insert()
    return str(erasure.id)


async def make_export(conversation: dict[str, Any]) -> str:
    """Make an export that has ended, of one part."""
    writing = {"writing": ObjectId(), "name": "a.zip", "media_type": "application/zip"}
    part = {**writing, "bytes": 2, "hash": "x", "conversations": 1, "messages": 1}
    job = {
        "_id": ObjectId(),
        "user_id": ObjectId(conversation["user_id"]),
        "format": "markdown",
        "created_at": now(),
        "total": 1,
        "done": 1,
        "counts": {},
        "parts": [part],
        "state": "done",
        "is_open": False,
        "code": None,
        "expires_at": now() + timedelta(days=1),
    }
    await ExportJob.get_pymongo_collection().insert_one(job)
    chunk = {"_id": ObjectId(), "user_id": job["user_id"], "export_id": job["_id"], "no": 0}
    await ExportChunk.get_pymongo_collection().insert_one(
        {**chunk, "writing": part["writing"], "data": b"PK"}
    )
    return str(job["_id"])


async def make_batch(conversation: dict[str, Any]) -> str:
    """Make an action on many conversations that has ended."""
    await BatchJob.get_pymongo_collection().delete_many({})
    made = BatchJob(
        user_id=ObjectId(conversation["user_id"]), action="pin", options={}, filter={}, role=None,
        created_at=now(), total=1, done=1, changed=1, state="done", is_open=False, due_at=now(),
        expires_at=now() + timedelta(days=1),
    ).model_dump(exclude={"id", "revision_id"})  # fmt: skip
    found = {"_id": ObjectId(), **made, "action": "pin", "state": "done"}
    await BatchJob.get_pymongo_collection().insert_one(found)
    return str(found["_id"])


async def insert_link(conversation: dict[str, Any]) -> tuple[str, str]:
    """Store a link to an empty snapshot; return its id and its token."""
    access = Access(ObjectId(conversation["user_id"]), Need.MANAGE)
    its, token, link_id = ObjectId(conversation["id"]), new_token(), ObjectId()
    until = now() + timedelta(days=1)
    content = {"title": "Shared"}
    sealed = snapshot_key(token).seal(bson.encode(content), place_of(link_id, 0), Compressor())
    part = {"_id": ObjectId(), "link_id": link_id, "no": 0, "c": sealed, "expires_at": until}
    await LinkPart.get_pymongo_collection().insert_one(LinkPart.owned_by(access, its, **part))
    link = Link(
        user_id=access.owner_id, conversation_id=its, token_hash=hash_token(token), include=[],
        messages=0, parts=0, size=0, created_at=now(), expires_at=until,
    ).model_dump(exclude={"id", "revision_id"})  # fmt: skip
    await Link.get_pymongo_collection().insert_one({"_id": link_id, **link})
    await Conversation.get_pymongo_collection().update_one(
        {"_id": its, "user_id": access.owner_id}, {"$set": {"linked_at": now()}}
    )
    return str(link_id), token


async def _make_link(made: Made) -> str:
    return (await insert_link(made.conversation))[0]


async def _make_token(made: Made) -> str:
    return (await insert_link(made.conversation))[1]


async def _make_reply(conversation: dict[str, Any]) -> str:
    """Make a reply that has ended, without calling a model."""
    reply = {
        "_id": ObjectId(),
        "user_id": ObjectId(conversation["user_id"]),
        "conversation_id": ObjectId(conversation["id"]),
        "state": "completed",
        "code": None,
        "answer_id": "first-message",
        "input_tokens": 1,
        "output_tokens": 1,
    }
    await Reply.get_pymongo_collection().insert_one(reply)
    return str(reply["_id"])


async def _make_grant(made: Made) -> str:
    """Share the conversation with a user of its own; return their id."""
    guest = await insert_user(f"guest-{ObjectId()}")
    path = f"/conversations/{made.conversation['id']}/grants/{guest.id}"
    answer = await made.alice.put(path, json={"role": "viewer"})
    assert answer.status == 200, await answer.text()
    return str(guest.id)


async def _make_group(made: Made) -> str:
    """Store a group of those with whom the conversation is shared, which is shared with it, too."""
    owner_id, conversation_id = (ObjectId(made.conversation[name]) for name in ("user_id", "id"))
    group_id, at = ObjectId(), now()
    mine = {"owner_id": owner_id, "group_id": group_id, "by": owner_id, "at": at}
    its = {"owner_id": owner_id, "conversation_id": conversation_id}
    found = await Grant.get_pymongo_collection().find(its).to_list()
    roles = {each["grantee_id"]: "member" for each in found} | {owner_id: "owner"}
    members = [{**mine, "member_id": each, "role": role} for each, role in roles.items()]
    group = {"owner_id": owner_id, "name": "Team", "created_at": at, "updated_at": at}
    await Group.get_pymongo_collection().insert_one({"_id": group_id, **group, "changes": 0})
    await Membership.get_pymongo_collection().insert_many(members)
    terms = {"role": "viewer", "expires_at": None, "agents": False, "version": 1, "expanded": 0}
    shared = {**mine, **its, **terms}
    await GroupGrant.get_pymongo_collection().insert_one(shared)
    return str(group_id)


async def _make_note(made: Made) -> str:
    path = f"/conversations/{made.conversation['id']}/notes"
    note = {"message_id": FIRST["id"], "content": "Why?"}
    return str((await (await made.alice.post(path, json=note)).json())["id"])


# By the name of the id: how to make it, and parts of the paths of those operations that need it.
MAKERS: dict[str, tuple[Callable[[Made], Awaitable[str]], *tuple[str, ...]]] = {
    "session_id": (_make_session, "/auth/"),
    "key_id": (_make_access_key, "/auth/"),
    "agent_id": (_make_agent, "{agent_id}"),
    "reply_id": (lambda made: _make_reply(made.conversation), "{reply_id}"),
    # A grant is made with it, without which no tool can be called.
    "command_id": (lambda made: _make_command(made.conversation), "command", "{tool}"),
    "import_id": (lambda made: make_import(made.conversation), "{import_id}"),
    "upload_id": (_make_upload, "{upload_id}"),
    "attachment_id": (_make_attachment, "{attachment_id}"),
    "category_id": (_make_category, "{category_id}"),
    "export_id": (lambda made: make_export(made.conversation), "{export_id}"),
    "batch_id": (lambda made: make_batch(made.conversation), "{batch_id}"),
    "template_id": (_make_template, "{template_id}"),
    "link_id": (_make_link, "{link_id}"),
    "token": (_make_token, "{token}"),
    "note_id": (_make_note, "{note_id}"),
    "user": (_make_grant, "{user}"),
    "group_id": (_make_group, "{group_id}"),
    "erasure_id": (lambda _made: _make_erasure(), "{erasure_id}"),
}
