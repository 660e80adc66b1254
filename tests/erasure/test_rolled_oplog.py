"""The receipt of an erasure says "final" once a real oplog has nothing of the person any more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bson import CodecOptions, ObjectId
from bson.raw_bson import RawBSONDocument

from chatvault.app import create_app
from chatvault.http.health import CLIENT
from chatvault.mongodb.database import Client
from chatvault.mongodb.embedded import embedded_mongodb, find_mongod
from chatvault.settings import Settings
from conftest import HttpClient
from support.erasing import WORD, make_due
from support.factories import PASSWORD, begin, message, settings_for
from support.oplogs import overflow_oplog

RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


@pytest.fixture
def small_mongodb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a MongoDB whose oplog has room for a megabyte."""
    # The oplog keeps what came after the last checkpoint of the data: once a minute, usually.
    hurried = tmp_path / "mongod"
    hurried.write_text(f'#!/bin/sh\nexec "{find_mongod()}" --syncdelay 1 "$@"\n')
    hurried.chmod(0o700)
    monkeypatch.setattr("chatvault.mongodb.embedded.find_mongod", lambda: hurried)
    with embedded_mongodb(tmp_path / "small", oplog_mb=1) as url:
        yield url


@pytest.fixture
def app(settings: Settings, small_mongodb: str, nothing_shared: None) -> web.Application:
    return create_app(settings, mongodb_url=small_mongodb)


async def is_in_oplog(client: Client, *what: bytes) -> bool:
    """Return whether the oplog has any of this."""
    oplog: Any = client["local"].get_collection("oplog.rs", codec_options=RAW)
    async for operation in oplog.find():
        if any(each in operation.raw for each in what):
            return True
    return False


@pytest.mark.long
async def test_is_final_when_the_oplog_has_rolled_over(
    app: web.Application, alice: HttpClient, bob: HttpClient, database: Any, carry_out: Any
) -> None:
    client: Client = app[CLIENT]
    one = await begin(alice, title=WORD, messages=[message(WORD)])
    hers = (ObjectId(one["user_id"]).binary, WORD.encode())
    receipt = await (await alice.delete("/users/me", json={"password": PASSWORD})).json()
    assert (await carry_out(alice))["state"] == "pending"
    await make_due(database)
    assert (await carry_out(alice))["state"] == "pending"
    assert await is_in_oplog(client, *hers)

    await overflow_oplog(client)
    assert not await is_in_oplog(client, *hers)
    await make_due(database)
    await carry_out(alice)

    headers = {"Erasure-Token": receipt["token"]}
    shown = await (await bob.get(f"/erasures/{receipt['id']}", headers=headers)).json()
    assert shown["state"] == "final"
    entry = await database.audit_logs.find_one({"action": "user.erase_finish"})
    assert entry["details"]["state"] == "final"
    assert entry["details"]["erasure"] == receipt["id"]
