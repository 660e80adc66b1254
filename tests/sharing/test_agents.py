"""Guests who ask agents at the owner's expense."""

import asyncio
from typing import Any

import pytest
from bson import ObjectId

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.granting import at, code_of, grant, revoke
from support.grouping import found_group, share_with
from support.model_fixtures import settings
from support.talking import ask, begin_stream, settled
from support.using import insert_usage

__all__ = ["settings"]


async def test_are_refused_without_agents(
    alice: HttpClient, bob: HttpClient, fake_model: FakeModel
) -> None:
    conversation = await begin(alice, title="T")
    for role, code in (("viewer", "insufficient_grant"), ("editor", "agents_not_granted")):
        await grant(alice, conversation, "bob", role)
        answer = await bob.post(at(conversation, "/replies"), json={"content": "x"})
        assert (answer.status, await code_of(answer)) == (403, code)
    refused = await alice.put(
        at(conversation, "/grants/bob"), json={"role": "viewer", "agents": True}
    )
    assert refused.status == 422
    assert (await (await alice.get(at(conversation))).json())["total_messages"] == 0


async def test_are_limited_by_the_tokens_of_the_owner(
    alice: HttpClient, bob: HttpClient, sign_in: SignIn, fake_model: FakeModel
) -> None:
    admin = await sign_in("adam", role=Role.ADMIN)
    await insert_usage("alice", (60, 40))
    conversation = await begin(alice, title="T")
    await grant(alice, conversation, "bob", "editor", agents=True)
    for limit, status in ((100, 429), (10_000, 201)):
        answer = await admin.put("/admin/quotas/user", json={"tokens_per_day": limit})
        assert answer.status == 200, await answer.text()

        asked = await bob.post(at(conversation, "/replies"), json={"content": "x"})

        assert asked.status == status, await asked.text()


@pytest.mark.parametrize("granted", ["alone", "by a group"])
async def test_ask_in_the_name_of_the_owner(
    alice: HttpClient, bob: HttpClient, database: Any, fake_model: FakeModel, granted: str
) -> None:
    made = await (await alice.post("/agents", json={"name": "A", "system_prompt": "Hm"})).json()
    conversation = await begin(alice, title="T", agent_id=made["id"])
    if granted == "by a group":
        group = await found_group(alice, "bob")
        await share_with(alice, conversation, group, "editor", agents=True)
    else:
        given = await grant(alice, conversation, "bob", "editor", agents=True)
        assert given["agents"]

    exchange = await ask(bob, conversation)

    bobs = (await database.users.find_one({"username": "bob"}))["_id"]
    assert exchange["user_message"]["author_id"] == str(bobs)
    assert "author_id" not in exchange["assistant_message"]
    alices = ObjectId(conversation["user_id"])
    assert await database.replies.distinct("user_id") == [alices]
    assert await database.usage.distinct("user_id") == [alices]
    assert await database.authorships.count_documents({"author_id": bobs}) == 1
    entry = await database.audit_logs.find_one({"action": "reply.create"})
    assert (entry["user_id"], entry["owner_id"]) == (bobs, alices)


async def test_ask_its_own_agent_only(
    alice: HttpClient, bob: HttpClient, fake_model: FakeModel
) -> None:
    hers = await (await alice.post("/agents", json={"name": "A"})).json()
    his = await (await bob.post("/agents", json={"name": "B"})).json()
    conversation = await begin(alice, title="T")
    await grant(alice, conversation, "bob", "editor", agents=True)
    for agent in (hers, his):
        body = {"content": "x", "agent_id": agent["id"]}
        answer = await bob.post(at(conversation, "/replies"), json=body)
        assert (answer.status, await code_of(answer)) == (404, "not_found")


async def test_have_no_tools_and_decide_about_no_commands(
    alice: HttpClient, bob: HttpClient, database: Any, fake_model: FakeModel
) -> None:
    conversation = await begin(alice, title="T")
    await grant(alice, conversation, "bob", "editor", agents=True)
    waits = {"reply_id": ObjectId(), "message_id": "m", "commands": []}
    which = {"_id": ObjectId(conversation["id"])}
    await database.conversations.update_one(which, {"$set": {"waiting_reply": waits}})

    answer = await bob.post(at(conversation, "/replies"), json={"content": "x"})

    assert (answer.status, await code_of(answer)) == (409, "reply_in_progress")


async def test_gets_the_answer_of_a_grant_that_ends_meanwhile_to_the_owner(
    alice: HttpClient, bob: HttpClient, fake_model: FakeModel
) -> None:
    gate = asyncio.Event()
    fake_model.say(ScriptedAnswer(chunks=("One", " two"), gate=gate))
    conversation = await begin(alice, title="T")
    await grant(alice, conversation, "bob", "editor", agents=True)
    answer = await begin_stream(bob, conversation)

    await revoke(alice, conversation, "bob")
    gate.set()
    await settled(alice, conversation)
    answer.close()

    page = await (await alice.get(at(conversation, "/messages"))).json()
    assert [each["content"] for each in page["messages"]] == ["Hello", "One two"]
    late = await bob.post(at(conversation, "/replies"), json={"content": "x"})
    assert late.status == 404


async def test_cancel(alice: HttpClient, bob: HttpClient, fake_model: FakeModel) -> None:
    gate = asyncio.Event()
    fake_model.say(ScriptedAnswer(chunks=("One", " two"), gate=gate))
    conversation = await begin(alice, title="T")
    await grant(alice, conversation, "bob", "editor", agents=True)
    answer = await begin_stream(alice, conversation)
    reply_id = (await (await alice.get(at(conversation))).json())["active_reply_id"]

    cancelled = await bob.post(at(conversation, f"/replies/{reply_id}/cancel"))

    assert (cancelled.status, (await cancelled.json())["state"]) == (200, "cancelled")
    answer.close()
