"""Commands that are asked for twice with one Idempotency-Key: done once, and told the same."""

import asyncio
from typing import Any

import pytest

from conftest import HttpClient
from support.answers import problem
from support.fake_model import FakeModel
from support.tooling import Grant, Notes, path_to, propose, settled_tools

KEY = {"Idempotency-Key": "once"}
ECHO = ("lab__echo", '{"text": "hi"}')
each = pytest.mark.parametrize("step", ["approve", "reject", "execute"])


@pytest.fixture
async def paths(alice: HttpClient, fake_model: FakeModel, tools: Grant) -> dict[str, str]:
    """Where to ask for each, and where the message is."""
    await tools("lab__echo", "terminal_command")
    conversation, [command] = await propose(alice, fake_model, ECHO)
    listed = f"/conversations/{conversation['id']}/commands"
    [shown] = await (await alice.get(listed)).json()
    message = f"/conversations/{conversation['id']}/messages/{shown['message_id']}"
    return {
        "approve": path_to(conversation, command, "approve"),
        "reject": path_to(conversation, command, "reject"),
        "execute": f"{message}/execute-command",
        "message": message,
        "conversation": f"/conversations/{conversation['id']}",
    }


def body_of(step: str) -> Any:
    return {"command": "date"} if step == "execute" else None


async def left_by(database: Any, answer: Any) -> list[tuple[str, str | None, Any]]:
    mine = {"request_id": answer.headers["X-Request-ID"], "action": {"$ne": "command.execute"}}
    entries = await database.audit_logs.find(mine).sort("_id").to_list()
    return [(entry["outcome"], entry["code"], entry["details"]) for entry in entries]


class TestRepeat:
    @each
    async def test_changes_nothing_and_answers_the_same(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        paths: dict[str, str],
        notes: Notes,
        database: Any,
        step: str,
    ) -> None:
        assert elsewhere.app is not None
        await settled_tools(elsewhere.app)
        first = await alice.post(paths[step], json=body_of(step), headers=KEY)
        assert first.status == 200, await first.text()
        shown, done = await first.json(), list(notes.lines)
        for browser in (alice, elsewhere):
            again = await browser.post(paths[step], json=body_of(step), headers=KEY)
            assert again.status == 200, await again.text()
            assert await again.json() == shown
            assert await left_by(database, again) == [("success", None, {"replayed": True})]
        assert notes.lines == done
        assert await database.idempotency_records.count_documents({}) == 1

    @each
    async def test_is_carried_out_once_if_concurrent(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        paths: dict[str, str],
        notes: Notes,
        step: str,
    ) -> None:
        assert elsewhere.app is not None
        await settled_tools(elsewhere.app)
        posts = [
            browser.post(paths[step], json=body_of(step), headers=KEY)
            for browser in (alice, elsewhere) * 4
        ]
        answers = await asyncio.gather(*posts)
        shown = [await answer.json() for answer in answers]
        assert {answer.status for answer in answers} == {200}, shown
        assert all(one == shown[0] for one in shown)
        assert len(notes.lines) == (step != "reject")

    @each
    async def test_is_refused_with_another_body(
        self, alice: HttpClient, paths: dict[str, str], step: str
    ) -> None:
        assert (await alice.post(paths[step], json=body_of(step), headers=KEY)).status == 200
        refused = await alice.post(paths[step], json={"command": "other"}, headers=KEY)
        await problem(refused, 422, "idempotency_key_reused")

    @each
    @pytest.mark.parametrize("gone", ["message", "conversation"])
    async def test_leaves_one_audit_entry_if_the_message_was_deleted(
        self, alice: HttpClient, paths: dict[str, str], database: Any, step: str, gone: str
    ) -> None:
        assert (await alice.post(paths[step], json=body_of(step), headers=KEY)).status == 200
        assert (await alice.delete(paths[gone])).status == 204
        again = await alice.post(paths[step], json=body_of(step), headers=KEY)
        await problem(again, 404, "not_found")
        assert [entry[:2] for entry in await left_by(database, again)] == [("denied", "not_found")]
