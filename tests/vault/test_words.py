"""What people write is nowhere in MongoDB, its log of changes, its files and our log, if sealed."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from pydantic import SecretStr
from pymongo import MongoClient

from chatvault.actor import Role
from chatvault.conversations.routes import COMMITS
from chatvault.documents import HOLDS
from chatvault.importing.formats.localstorage import SETTINGS_KEY
from chatvault.settings import Settings
from conftest import HttpClient, SignIn
from support.answers import found
from support.exports import SETTINGS, exported
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.foreign import claude
from support.granting import at, grant
from support.grouping import found_group, share_with
from support.links import link_to, shown
from support.searching import index_all, indexed, until
from support.stored import tiny_bounds
from support.talking import ask, begin_stream, events_of
from support.tooling import Grant, commands_of
from support.wording import Words, everything, files_of, filled


class People(NamedTuple):
    """Who writes, who is let in, and who holds what they wrote."""

    alice: HttpClient
    bob: HttpClient
    auditor: HttpClient


@pytest.fixture
async def people(alice: HttpClient, bob: HttpClient, sign_in: SignIn) -> People:
    return People(alice, bob, await sign_in("carol", role=Role.AUDITOR))


async def converse(alice: HttpClient, commits: Any, say: Words) -> None:
    parts = [{"type": "text", "text": say()}, {"type": "thinking", "text": say()}]
    special = message(
        say(), "assistant", id="special", parts=parts, metrics={say(): say()}, own=say()
    )
    one = await begin(
        alice,
        title=say(),
        metadata={say(): [say()]},
        system_prompt=say(),
        messages=[
            message(say(), id="m0"),
            special,
            *(message(say()) for _ in range(9)),
        ],
    )
    path = f"/conversations/{one['id']}"
    key = {"Idempotency-Key": "k"}
    for _ in range(2):
        body = {"messages": [message(say()) for _ in range(3)]}
        await alice.post(f"{path}/messages:batch", json=body, headers=key)
    await alice.post(f"{path}/messages", json=message(say(), id="last", own=say()))
    await commits.drain()
    for name in ("m0", "special", "last"):
        changed = await alice.patch(f"{path}/messages/{name}", json={"content": say(), "x": say()})
        assert changed.status in {200, 422}
        changed = await alice.patch(f"{path}/messages/{name}", json={"content": say()})
        assert changed.status == 200
    changed = await alice.patch(path, json={"title": say(), "metadata": {"a": say()}})
    assert changed.status == 200
    copied = await alice.post(f"{path}/fork", json={"title": say()})
    assert copied.status == 201, await copied.text()
    replaced = await alice.put(path, json={"messages": [message(say()) for _ in range(8)]})
    assert replaced.status == 200
    await commits.drain()


async def order(alice: HttpClient, say: Words) -> None:
    """Write what is not a conversation."""
    texts = {"system_prompt": say(), "name": say()}
    template = {**texts, "messages": [message(say())], "initial_message": say()}
    for path, body in (
        ("/agents", texts),
        ("/templates", template),
        ("/categories", {"name": say()}),
        ("/auth/keys", {"name": say(), "scopes": ["export"]}),
    ):
        made = await alice.post(path, json=body, headers={"Idempotency-Key": "k"})
        assert made.status == 201, await made.text()
    [_, agent] = await answer_of(alice, "/agents", "agents")
    [category] = await answer_of(alice, "/categories", "categories")
    [kept] = await answer_of(alice, "/templates", "templates")
    for path, change in (
        (f"/agents/{agent['id']}", {"name": say(), "system_prompt": say()}),
        (f"/categories/{category['id']}", {"name": say()}),
        (f"/templates/{kept['id']}", {"name": say(), "initial_message": None}),
    ):
        changed = await alice.patch(path, json=change)
        assert changed.status == 200, await changed.text()
    begun = await begin(alice, template_id=kept["id"])
    moved = {"action": "move", "ids": [begun["id"]], "category_id": category["id"]}
    done = await alice.post("/conversations:batch", json=moved)
    assert done.status in {200, 202}, await done.text()
    changed = await alice.put("/users/me/preferences", json={"keys": {say(): say()}})
    assert changed.status == 200


async def answer_of(alice: HttpClient, path: str, name: str) -> Any:
    return (await (await alice.get(path)).json())[name]


async def share(people: People, say: Words) -> None:
    """Let others read and write beside, in a group and by a link; and hold what they wrote."""
    alice, bob, auditor = people
    one = await begin(alice, title=say(), messages=[message(say(), id="first")])
    team = await found_group(alice, "bob", name=say())
    renamed = await alice.patch(f"/groups/{team['id']}", json={"name": say()})
    assert renamed.status == 200
    await share_with(alice, one, team, "commenter")
    for each in (alice, bob):
        note = {"message_id": "first", "content": say()}
        written = await each.post(at(one, "/notes"), json=note)
        assert written.status == 201, await written.text()
        path = at(one, f"/notes/{(await written.json())['id']}")
        assert (await each.patch(path, json={"content": say()})).status == 200
    await grant(alice, one, "bob", "editor")
    assert (await bob.post(at(one, "/messages"), json=message(say()))).ok
    for wanted in ({"mode": "snapshot", "include": ["thinking", "metadata"]}, {"mode": "live"}):
        token = (await link_to(alice, one, **wanted))["token"]
        assert say.in_bytes(json.dumps(await shown(bob, token)).encode())
        copied = await bob.post(f"/shared/{token}/fork", json={"title": say()})
        assert copied.status == 201, await copied.text()
    whose = (await (await alice.get("/auth/me")).json())["id"]
    held = await auditor.post("/admin/holds", json={"user_id": whose, "reason": say()})
    assert held.status == 201, await held.text()


async def talk(alice: HttpClient, fake_model: FakeModel, tools: Grant, say: Words) -> None:
    """Let a model answer, and run tools."""
    await tools("terminal_command", "echo", auto=True)
    fake_model.title = ScriptedAnswer(chunks=[say()])
    one = await begin(alice, mcp_enabled=True, messages=[message(say(), id="first")])
    thoughts = [{"reasoning_content": say()}, {"reasoning_content": say()}]
    fake_model.say(ScriptedAnswer(chunks=[say(), " ", say()], reasoning=thoughts))
    streamed = await begin_stream(alice, one, say())
    assert "completed" in {each.type for each in await events_of(streamed)}
    calls = [("terminal_command", json.dumps({"command": say()}))]
    fake_model.say(ScriptedAnswer(chunks=[say()], calls=calls))
    await ask(alice, one, say())
    answered = await found(alice, one["id"])
    assert commands_of(answered)
    for each in answered["messages"]:
        if each["role"] == "assistant":
            path = f"/conversations/{one['id']}/messages/{each['id']}"
            assert (await alice.patch(path, json={"content": say()})).status == 200
    path = f"/conversations/{one['id']}/messages/first/execute-command"
    ran = await alice.post(path, json={"command": say()}, headers={"Idempotency-Key": "k"})
    assert ran.status == 200, await ran.text()
    await alice.post(f"/conversations/{one['id']}/messages", json=message(say()))
    fake_model.summary = ScriptedAnswer(chunks=[say()])
    told = await alice.post(f"/conversations/{one['id']}/summary")
    assert say.in_bytes(await told.read()), await told.text()
    fake_model.say(say())
    asked = {"messages": [message(say())], "model": "default"}
    for _ in range(2):
        told = await alice.post(
            "/v1/chat/completions", json=asked, headers={"Idempotency-Key": "c"}
        )
        assert told.status == 200, await told.text()


async def move(alice: HttpClient, say: Words) -> None:
    """Attach, import, search and export."""
    one = await begin(alice, title=say(), messages=[message(word := say())])
    path = f"/conversations/{one['id']}"
    kept = await alice.post(f"{path}/attachments?name={say()}", data=f"{say()} {say()}".encode())
    assert kept.status == 201, await kept.text()
    attached = f"{path}/attachments/{(await kept.json())['id']}"
    assert say.in_bytes(await (await alice.get(attached)).read())

    theirs = exported(1) | {"title": say()}
    theirs["messages"][0]["content"] = say()
    with_file = claude(name=say())
    file = {"file_name": say(), "file_uuid": "an-id"}
    with_file["chat_messages"][0] |= {"text": say(), "files": [file]}
    for state, imported in (
        ("completed", [theirs, {"title": say(), "messages": say()}]),
        ("completed", [with_file]),
        ("completed", {SETTINGS_KEY: SETTINGS}),
        ("failed", say()),
    ):
        assert (await take_in(alice, say, imported))["state"] == state

    assert (await indexed(alice, word))["results"]
    job = await alice.post("/exports", json={"format": "ndjson"})
    made = await end_of(alice, job.headers["Location"])
    assert made["state"] == "done"
    got = await alice.get(f"{job.headers['Location']}/parts/1")
    assert word.encode() in gzip.decompress(await got.read())


async def take_in(alice: HttpClient, say: Words, imported: Any) -> Any:
    """Upload a file and import it; return how that ended."""
    data = json.dumps(imported).encode()
    name = base64.b64encode(f"{say()}.json".encode()).decode()
    tus = {"Tus-Resumable": "1.0.0"}
    sized = {**tus, "Upload-Length": str(len(data)), "Upload-Metadata": f"filename {name}"}
    upload = (await alice.post("/imports/uploads", headers=sized)).headers["Location"]
    part = {**tus, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    assert (await alice.patch(upload, headers=part, data=data)).status == 204
    started = await alice.post(f"/imports?upload_id={upload.rpartition('/')[2]}&salvage=true")
    assert started.status == 202, await started.text()
    ended = await end_of(alice, f"/imports/{(await started.json())['id']}")
    # That of a failed import is kept for a day.
    removed = await alice.delete(upload, headers=tus)
    assert removed.status == (204 if ended["state"] == "failed" else 404)
    return ended


async def end_of(alice: HttpClient, path: str) -> Any:
    ended = {"done", "failed", "completed", "nothing_imported"}

    async def look() -> Any:
        shown = await (await alice.get(path)).json()
        return shown if shown["state"] in ended else None

    return await until(look)


def flat(fields: dict[str, set[str]]) -> set[str]:
    """Return names of fields; those of messages are the same in each collection that has some."""
    return {
        path if path.startswith("message") else f"{name}.{path}"
        for name, paths in fields.items()
        for path in (each.replace("messages.", "message.") for each in paths)
    }


@pytest.fixture(params=[True, False], ids=["sealed", "readable"])
def is_sealed(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


@pytest.fixture
def settings(tool_settings: Settings, tmp_path: Path, is_sealed: bool) -> Settings:  # noqa: FBT001  # a fixture
    keys = SecretStr("07" * 32) if is_sealed else None
    return tool_settings.model_copy(update={"master_keys": keys, "data_dir": tmp_path})


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_bounds(monkeypatch)
    index_all(monkeypatch)


async def test_sealed_words_are_nowhere(
    app: web.Application,
    people: People,
    fake_model: FakeModel,
    tools: Grant,
    mongodb: MongoClient[Any],
    settings: Settings,
    capfd: pytest.CaptureFixture[str],
    is_sealed: bool,  # noqa: FBT001  # a fixture
) -> None:
    say, since = Words(), mongodb.admin.command("hello")["operationTime"]
    await converse(people.alice, app[COMMITS], say)
    await order(people.alice, say)
    await talk(people.alice, fake_model, tools, say)
    await move(people.alice, say)
    await share(people, say)

    seen: dict[str, set[bytes]] = {"our log": say.in_bytes("".join(capfd.readouterr()).encode())}
    for where, data in (
        *everything(mongodb, settings.mongodb_database, since),
        *files_of(mongodb, settings.data_dir),
    ):
        seen.setdefault(where, set()).update(say.in_bytes(data))

    hits = {where: len(words) for where, words in seen.items() if words}
    if is_sealed:
        assert hits == {}
        return
    # Without keys the same is found, and no declared field was left out.
    written = filled(mongodb, settings.mongodb_database, since)
    declared = {name: set(holds.words) for name, holds in HOLDS.items() if holds.words}
    assert written.keys() == declared.keys()
    assert flat(written) == flat(declared)
    assert {"notes", "groups", "holds", "conversations", "segments", "file"} <= hits.keys()
    assert hits["oplog"] > len(say.all) / 2
