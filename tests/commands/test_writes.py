"""Every step of a command in one transaction with its entry, and its owner in the filter."""

import pytest
from aiohttp import web

from chatvault.conversations.routes import COMMITS
from conftest import HttpClient
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import ask, path_of
from support.tooling import Grant, answered, path_to, propose
from support.watching import Watch, listen

ECHO = ("lab__echo", '{"text": "hi"}')


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Listens to every connection of the application."""
    return listen(monkeypatch)


async def test_each_step_is_stored_with_its_audit_entry_in_one_transaction(
    app: web.Application, alice: HttpClient, watch: Watch, fake_model: FakeModel, tools: Grant
) -> None:
    await tools("terminal_command", "lab__big")
    await tools("lab__echo", auto=True)
    watch.forget()

    async def check(step: str) -> None:
        await app[COMMITS].drain()
        assert list(watch.wrong()) == [], step
        assert {"commands", "conversations"} <= watch.changes, step
        watch.forget()

    conversation, commands = await propose(alice, fake_model, ECHO, ECHO, ("lab__nothing", "{}"))
    await check("propose")
    await alice.post(path_to(conversation, commands[0], "approve"))
    await check("approve")
    await alice.post(path_to(conversation, commands[1], "reject"))
    await answered(alice, conversation)
    await check("reject")
    fake_model.say(ScriptedAnswer(chunks=["Again."], calls=[ECHO]))
    await ask(alice, conversation, "Once more")
    watch.forget()
    await ask(alice, conversation, "Never mind")
    await check("supersede")
    fake_model.say(ScriptedAnswer(chunks=["Again."], calls=[ECHO]))
    reply = await ask(alice, conversation, "Once more")
    watch.forget()
    await alice.post(path_of(conversation, reply["reply_id"], "cancel"))
    await check("cancel")
    await alice.put("/mcp/rules/lab__echo")
    fake_model.say(ScriptedAnswer(chunks=["Again."], calls=[ECHO]))
    await ask(alice, conversation, "By rule")
    await answered(alice, conversation)
    await check("by rule")
    armed = await begin(alice, mcp_enabled=True, messages=[message("x", id="x")])
    watch.forget()
    path = f"/conversations/{armed['id']}/messages/x/execute-command"
    assert (await alice.post(path, json={"command": "ls"})).status == 200
    await check("execute")
