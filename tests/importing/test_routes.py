"""Imports over HTTP: what is told of each conversation, and that nobody has to wait for them."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from chatvault.importing import bodies as uploads
from chatvault.importing.conversations import ImportFile
from chatvault.importing.formats.localstorage import CONVERSATIONS_KEY, SETTINGS_KEY
from chatvault.importing.reading import ReadOptions, read_files
from conftest import HttpClient, SignIn
from support.answers import problem
from support.exports import SETTINGS, exported

PATH = "/imports"


async def bring_in(client: HttpClient, value: Any, query: str = "") -> dict[str, Any]:
    answer = await client.post(PATH + query, data=json.dumps(value).encode())
    assert answer.status == 200, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


def outcomes(told: dict[str, Any]) -> list[str]:
    return [each["outcome"] for each in told["conversations"]]


class TestImport:
    async def test_reports_each_conversation(self, alice: HttpClient) -> None:
        dump = {
            CONVERSATIONS_KEY: json.dumps([exported(1), exported(2) | {"isLoading": True}]),
            SETTINGS_KEY: json.dumps(SETTINGS),
        }
        told = await bring_in(alice, dump)

        assert outcomes(told) == ["imported", "imported"]
        assert [each["title"] for each in told["conversations"]] == ["About 1", "About 2"]
        assert told["conversations"][1]["repaired"] == ["'isLoading' was left on"]
        assert (told["messages"], told["preferences"], told["rejected"]) == (8, True, [])
        assert (await (await alice.get("/users/me/preferences")).json())["theme"] == "dark"

        again = await bring_in(alice, [exported(1), exported(3)])
        assert outcomes(again) == ["repeated", "imported"]
        assert await (await alice.get("/conversations/stats/count")).json() == {"count": 3}

    async def test_writes_nothing_in_a_dry_run(self, alice: HttpClient, database: Any) -> None:
        await bring_in(alice, [exported(1)])
        told = await bring_in(alice, [exported(1), exported(2)], "?dry_run=true")

        assert told["dry_run"]
        assert outcomes(told) == ["repeated", "imported"]
        assert await database.conversations.count_documents({}) == 1
        entry = await database.audit_logs.find_one({"details.dry_run": True})
        assert (entry["action"], entry["door"]) == ("import.run", "http")

    async def test_reports_what_it_leaves_out(self, alice: HttpClient) -> None:
        file = [exported(1), exported(2) | {"messages": "none"}, exported(1)]
        refused = await alice.post(PATH, data=json.dumps(file).encode())
        detail = (await problem(refused, 422, "import_rejected"))["detail"]
        assert "conversation 2" in detail

        told = await bring_in(alice, file, "?salvage=true")
        assert outcomes(told) == ["imported"]
        assert [each["place"][:14] for each in told["rejected"]] == [
            "conversation 2",
            "conversation 3",
        ]

    async def test_belongs_to_the_user(self, alice: HttpClient, bob: HttpClient) -> None:
        await bring_in(alice, [exported(1)])
        assert await (await bob.get("/conversations")).json() == []
        assert outcomes(await bring_in(bob, [exported(1)])) == ["imported"]

    async def test_requires_a_session(self, http: HttpClient) -> None:
        await problem(await http.post(PATH, data=b"[]"), 401, "authentication_required")

    async def test_accepts_a_key_for_one_request_only(self, alice: HttpClient) -> None:
        data, key = json.dumps([exported(1)]).encode(), {"Idempotency-Key": "k"}
        assert (await alice.post(PATH, data=data, headers=key)).status == 200
        other = await alice.post(PATH + "?on_duplicate=copy", data=data, headers=key)
        await problem(other, 422, "idempotency_key_reused")

    async def test_answers_busy_while_others_import(
        self,
        alice: HttpClient,
        bob: HttpClient,
        sign_in: SignIn,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(uploads, "WAIT_SECONDS", 0.01)
        monkeypatch.setattr(uploads, "read_files", slowly)
        clients = [alice, bob, await sign_in("carol"), await sign_in("dave")]
        answers = await asyncio.gather(*(each.post(PATH, data=b"[]") for each in clients))
        assert 503 in {answer.status for answer in answers}

    async def test_leaves_room_for_imports_of_other_users(
        self, alice: HttpClient, bob: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = threading.Event()

        def read_held(options: ReadOptions) -> ImportFile:
            with options.sources[0].open() as file:
                if b"held" in file.read():
                    gate.wait(10)
            return read_files(options)

        monkeypatch.setattr(uploads, "WAIT_SECONDS", 1.0)
        monkeypatch.setattr(uploads, "read_files", read_held)
        held = [{**exported(number), "title": "held"} for number in range(4)]
        many = [asyncio.create_task(bring_in(alice, [each])) for each in held]
        await asyncio.sleep(0.2)

        assert outcomes(await bring_in(bob, [exported(9)])) == ["imported"]
        gate.set()
        assert [outcomes(await each) for each in many] == [["imported"]] * 4


def slowly(options: ReadOptions) -> Any:
    time.sleep(0.3)
    raise ValueError(options)
