"""What people write is nowhere in MongoDB, its log of changes, its files and our log, if sealed."""

import base64
import gzip
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from aiohttp import web
from bson.raw_bson import RawBSONDocument
from pydantic import SecretStr
from pymongo import MongoClient

from chatvault.conversations.routes import COMMITS
from chatvault.mongodb.keeper import MONGOD_LOG
from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import found
from support.exports import exported
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.searching import index_all, indexed, until
from support.stored import tiny_bounds
from support.talking import ask, begin_stream, events_of
from support.tooling import Grant, commands_of


class Words:
    """Words that are nowhere else, with a beginning by which they are found quickly."""

    def __init__(self) -> None:
        self.all: set[bytes] = set()
        self._first = secrets.token_hex(6)

    def __call__(self) -> str:
        word = self._first + secrets.token_hex(6)
        self.all.add(word.encode())
        return word

    def in_bytes(self, data: bytes) -> set[bytes]:
        """Return those that are in the data."""
        return self.all & set(re.findall(self._first.encode() + b"[0-9a-f]{12}", data))


def everything(client: MongoClient[Any], name: str, since: Any) -> Iterator[tuple[str, bytes]]:
    """Yield each document of the database, of the oplog since a time, and each file of MongoDB."""
    raw = bson.CodecOptions(document_class=RawBSONDocument)
    for collection in client[name].list_collection_names():
        for document in client[name].get_collection(collection, codec_options=raw).find():
            yield collection, document.raw
    oplog = client["local"].get_collection("oplog.rs", codec_options=raw)
    for operation in oplog.find({"ts": {"$gte": since}, "ns": {"$regex": f"^{name}|^admin"}}):
        yield "oplog", operation.raw
    client.admin.command("fsync")
    options = client.admin.command("getCmdLineOpts")["parsed"]
    for file in Path(options["storage"]["dbPath"]).rglob("*"):
        if file.is_file():
            yield "file", file.read_bytes()


async def converse(alice: HttpClient, commits: Any, say: Words) -> None:
    parts = [{"type": "text", "text": say()}, {"type": "thinking", "text": say()}]
    special = message(say(), "assistant", parts=parts, metrics={say(): say()}, own=say())
    one = await begin(
        alice,
        title=say(),
        metadata={say(): [say()]},
        system_prompt=say(),
        messages=[message(say(), id="m0"), special, *(message(say()) for _ in range(9))],
    )
    path = f"/conversations/{one['id']}"
    key = {"Idempotency-Key": "k"}
    for _ in range(2):
        body = {"messages": [message(say()) for _ in range(3)]}
        await alice.post(f"{path}/messages:batch", json=body, headers=key)
    await alice.post(f"{path}/messages", json=message(say(), id="last"))
    await commits.drain()
    for name in ("m0", "last"):
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
    changed = await alice.patch(f"/agents/{agent['id']}", json={"name": say()})
    assert changed.status == 200
    changed = await alice.put("/users/me/preferences", json={"keys": {say(): say()}})
    assert changed.status == 200


async def answer_of(alice: HttpClient, path: str, name: str) -> Any:
    return (await (await alice.get(path)).json())[name]


async def talk(alice: HttpClient, fake_model: FakeModel, tools: Grant, say: Words) -> None:
    """Let a model answer, and run tools."""
    await tools("terminal_command", "echo", auto=True)
    one = await begin(alice, mcp_enabled=True, title=say(), messages=[message(say(), id="first")])
    fake_model.say(ScriptedAnswer(chunks=[say(), " ", say()]))
    streamed = await begin_stream(alice, one, say())
    assert "completed" in {each.type for each in await events_of(streamed)}
    calls = [("terminal_command", json.dumps({"command": say()}))]
    fake_model.say(ScriptedAnswer(chunks=[say()], calls=calls))
    await ask(alice, one, say())
    assert commands_of(await found(alice, one["id"]))
    path = f"/conversations/{one['id']}/messages/first/execute-command"
    ran = await alice.post(path, json={"command": say()}, headers={"Idempotency-Key": "k"})
    assert ran.status == 200, await ran.text()
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
    data = json.dumps([theirs, {"title": say(), "messages": say()}]).encode()
    name = base64.b64encode(f"{say()}.json".encode()).decode()
    tus = {"Tus-Resumable": "1.0.0"}
    sized = {**tus, "Upload-Length": str(len(data)), "Upload-Metadata": f"filename {name}"}
    upload = (await alice.post("/imports/uploads", headers=sized)).headers["Location"]
    part = {**tus, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    assert (await alice.patch(upload, headers=part, data=data)).status == 204
    started = await alice.post(f"/imports?upload_id={upload.rpartition('/')[2]}&salvage=true")
    assert started.status == 202, await started.text()
    done = await end_of(alice, f"/imports/{(await started.json())['id']}")
    assert done["state"] == "completed", done

    assert (await indexed(alice, word))["results"]
    job = await alice.post("/exports", json={"format": "ndjson"})
    made = await end_of(alice, job.headers["Location"])
    assert made["state"] == "done"
    got = await alice.get(f"{job.headers['Location']}/parts/1")
    assert word.encode() in gzip.decompress(await got.read())


async def end_of(alice: HttpClient, path: str) -> Any:
    ended = {"done", "failed", "completed", "nothing_imported"}

    async def look() -> Any:
        shown = await (await alice.get(path)).json()
        return shown if shown["state"] in ended else None

    return await until(look)


def files_of(client: MongoClient[Any], data_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield mongod's log, and the service's files, except those of open search indexes."""
    options = client.admin.command("getCmdLineOpts")["parsed"]
    [log] = Path(options["storage"]["dbPath"]).parent.rglob(MONGOD_LOG)
    yield "mongod's log", log.read_bytes()
    for file in data_dir.rglob("*"):
        if file.is_file() and "search" not in file.relative_to(data_dir).parts:
            yield "data_dir", file.read_bytes()


# What the positive control finds, where words are not compressed.
READABLE = {
    *("agents", "api_keys", "attachment_parts", "attachments", "categories", "conversations"),
    *("imports", "preferences", "reply_events", "revisions", "segments", "templates"),
    *("oplog", "file"),
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
    alice: HttpClient,
    fake_model: FakeModel,
    tools: Grant,
    mongodb: MongoClient[Any],
    settings: Settings,
    capfd: pytest.CaptureFixture[str],
    is_sealed: bool,  # noqa: FBT001  # a fixture
) -> None:
    say, since = Words(), mongodb.admin.command("hello")["operationTime"]
    await converse(alice, app[COMMITS], say)
    await order(alice, say)
    await talk(alice, fake_model, tools, say)
    await move(alice, say)

    seen: dict[str, set[bytes]] = {"our log": say.in_bytes("".join(capfd.readouterr()).encode())}
    for where, data in (
        *everything(mongodb, settings.mongodb_database, since),
        *files_of(mongodb, settings.data_dir),
    ):
        seen.setdefault(where, set()).update(say.in_bytes(data))

    assert {"search_files", "export_parts"} <= seen.keys()
    hits = {where: len(words) for where, words in seen.items() if words}
    if is_sealed:
        assert hits == {}
    else:
        assert hits.keys() >= READABLE
        assert hits["oplog"] > len(say.all) / 2
