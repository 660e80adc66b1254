"""What people write is nowhere in MongoDB, its log of changes and its files, once it is sealed."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from aiohttp import web
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from chatvault.conversations.codec import PlainCodec
from chatvault.conversations.routes import COMMITS, STORE
from chatvault.conversations.store import MessageStore
from conftest import HttpClient
from support.codecs import sealing
from support.factories import begin, message
from support.stored import tiny_bounds


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


async def use_all_doors(alice: HttpClient, commits: Any, say: Words) -> None:
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


@pytest.mark.parametrize("is_sealed", [True, False])
async def test_sealed_words_are_nowhere_in_mongodb(
    app: web.Application,
    alice: HttpClient,
    mongodb: MongoClient[Any],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    is_sealed: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    tiny_bounds(monkeypatch)
    store: MessageStore = app[STORE]
    store.codec = sealing() if is_sealed else PlainCodec()
    say, since = Words(), mongodb.admin.command("hello")["operationTime"]
    await use_all_doors(alice, app[COMMITS], say)

    seen: dict[str, set[bytes]] = {}
    for where, data in everything(mongodb, settings.mongodb_database, since):
        seen.setdefault(where, set()).update(say.in_bytes(data))

    hits = {where: len(found) for where, found in seen.items() if found}
    if is_sealed:
        assert hits == {}
    else:
        assert hits.keys() == {"conversations", "segments", "revisions", "oplog", "file"}
        assert hits["oplog"] > len(say.all) / 2
