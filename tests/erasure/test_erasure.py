"""Erasure of a person: all is gone but the audit log, whatever happens meanwhile."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from chatvault.accounts.administrators import LastAdministrator
from chatvault.accounts.models import User
from chatvault.actor import Actor, Door, Role
from chatvault.documents import HOLDS
from chatvault.erasure import finality, removal, service, worker
from chatvault.erasure.errors import ServiceAccount
from chatvault.erasure.models import Erasure
from chatvault.errors import BeingErased
from chatvault.http.health import CLIENT
from chatvault.live.events import PIPELINE, SessionsEnded, read_change
from chatvault.mongodb.changes import StreamLost
from chatvault.mongodb.leases import Lease
from conftest import HttpClient, SignIn
from support.answers import problem
from support.codecs import usual_master
from support.erasing import WORD, make_due, put_everywhere, the_erasure, traces
from support.factories import PASSWORD, account, begin, message
from support.keys import key_of, program

OPERATOR = Actor(door=Door.CLI)
TUS = {"Tus-Resumable": "1.0.0"}


async def id_of(username: str = "alice") -> ObjectId:
    user = await User.find_one({"username": username})
    assert user is not None
    return user.id


async def erase(browser: HttpClient, password: str = PASSWORD) -> Any:
    return await browser.delete("/users/me", json={"password": password})


async def begun(browser: HttpClient) -> dict[str, Any]:
    answer = await erase(browser)
    assert answer.status == 202, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


async def status_of(browser: HttpClient, receipt: dict[str, Any], token: str = "") -> Any:
    headers = {"Erasure-Token": token or receipt["token"]}
    return await browser.get(f"/erasures/{receipt['id']}", headers=headers)


async def use_everything(browser: HttpClient) -> str:
    """Store words in many ways, over HTTP; return the id of an upload."""
    talk = await begin(browser, title=WORD, messages=[message(WORD) for _ in range(70)])
    path = f"/conversations/{talk['id']}"
    await browser.post(f"{path}/messages", json=message(WORD), headers={"Idempotency-Key": "k"})
    read = await (await browser.get(path)).json()
    edited = f"{path}/messages/{read['messages'][-1]['id']}"
    await browser.patch(edited, json={"content": f"{WORD}!"})
    answer = await browser.post(
        f"{path}/attachments",
        params={"name": WORD},
        data=io.BytesIO(WORD.encode() * 9),
        headers={"Content-Type": "text/plain"},
    )
    assert answer.status == 201, await answer.text()
    await browser.patch("/preferences", json={"word": WORD})
    await browser.get("/search", params={"q": WORD})
    await browser.post("/exports", json={"format": "json"})
    started = await browser.post("/imports/uploads", headers=TUS | {"Upload-Length": "100"})
    return started.headers["Location"].rpartition("/")[2]


class TestErasure:
    async def test_leaves_nothing_but_the_audit_log(
        self, alice: HttpClient, bob: HttpClient, database: Any, carry_out: Any, data_dir: Path
    ) -> None:
        upload_id = await use_everything(alice)
        file = data_dir / "uploads" / f"{upload_id}.part"
        assert file.exists()
        alice_id, bob_id = await id_of(), await id_of("bob")
        await put_everywhere(database, alice_id)
        await begin(bob, title="Bob's", messages=[message("Hi")])
        await put_everywhere(database, bob_id, "another's")
        before = await traces(database, bob_id)
        # The control: all collections that declare it have something of hers.
        declared = {name for name, holds in HOLDS.items() if holds.erased_with(alice_id)}
        assert declared <= await traces(database, alice_id)
        entries = await database.audit_logs.count_documents({"user_id": alice_id})

        receipt = await begun(alice)
        await carry_out(alice)
        erasure = await carry_out(alice)

        assert await traces(database, alice_id) - {"users"} <= {"audit_logs"}
        assert not file.exists()
        assert before == await traces(database, bob_id)
        assert (await bob.get("/auth/me")).status == 200
        assert erasure["state"] == "pending"
        assert erasure["counts"]["users"] == 1
        assert erasure["counts"].keys() >= declared - {"leases", "rate_limits"}
        assert await database.audit_logs.count_documents({"user_id": alice_id}) == entries + 1
        shown = await (await status_of(bob, receipt)).json()
        assert (shown["state"], shown["counts"]) == ("pending", erasure["counts"])
        assert (shown["files"], shown["files_left"]) == (1, 0)

    async def test_leaves_its_receipt_in_the_audit_log(
        self, alice: HttpClient, database: Any, carry_out: Any, constants: pytest.MonkeyPatch
    ) -> None:
        alice_id = await id_of()
        receipt = await begun(alice)
        await carry_out(alice)

        async def passed(*_: object) -> bool:
            return True

        constants.setattr(worker, "has_passed", passed)
        await make_due(database)
        await carry_out(alice)

        found = await database.audit_logs.find({"resource_id": str(alice_id)}).sort("_id").to_list()
        entries = [each for each in found if each["action"].startswith("user.erase")]
        assert [each["action"] for each in entries] == [
            "user.erase", "user.erase_receipt", "user.erase_finish",
        ]  # fmt: skip
        assert [each["user_id"] for each in entries] == [alice_id, None, None]
        pending, final = (each["details"] for each in entries[1:])
        assert (pending["state"], final["state"]) == ("pending", "final")
        assert pending["erasure"] == receipt["id"]
        assert pending["final_at"] > pending["removed_at"] > pending["started_at"]
        assert final["ended_at"] >= pending["removed_at"]
        assert pending["counts"] == {"sessions": 1, "users": 1}

    async def test_removes_what_was_written_late(
        self,
        alice: HttpClient,
        database: Any,
        carry_out: Any,
        constants: pytest.MonkeyPatch,
    ) -> None:
        alice_id = await id_of()
        receipt = await begun(alice)
        late = iter(("segments", "reply_events", "conversations"))
        remove_all = removal.Removal.remove_all

        async def write_after(self: Any, erasure: Any) -> int:
            removed = await remove_all(self, erasure)
            if (name := next(late, None)) is not None:
                await database[name].insert_one({"user_id": alice_id, "words": WORD})
            return removed

        constants.setattr(removal.Removal, "remove_all", write_after)
        await carry_out(alice)

        assert not await traces(database, alice_id)
        assert (await the_erasure(database))["state"] == "pending"
        # After the receipt too.
        await put_everywhere(database, alice_id)
        await make_due(database)
        await carry_out(alice)
        assert not await traces(database, alice_id)
        shown = await (await status_of(alice, receipt)).json()
        assert shown["counts"]["segments"] == 2

    async def test_while_the_person_continues_to_write(
        self, alice: HttpClient, database: Any, carry_out: Any
    ) -> None:
        alice_id = await id_of()
        talk = await begin(alice, title=WORD)
        done = asyncio.Event()

        async def write(number: int) -> None:
            while not done.is_set():
                posted = [
                    alice.post(f"/conversations/{talk['id']}/messages", json=message(WORD)),
                    alice.post("/conversations", json={"title": WORD}),
                    alice.post("/exports", json={"format": "json"}),
                    alice.patch("/preferences", json={f"word{number}": WORD}),
                    alice.get("/search", params={"q": WORD}),
                ]
                statuses = {answer.status for answer in await asyncio.gather(*posted)}
                if statuses == {401}:
                    return

        writers = [asyncio.create_task(write(number)) for number in range(2)]
        await begun(alice)
        await carry_out(alice)
        done.set()
        await asyncio.gather(*writers)
        await make_due(database)
        await carry_out(alice)

        assert await traces(database, alice_id) == set()


class TestCrashes:
    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_between_any_two_steps_lose_nothing(
        self,
        alice: HttpClient,
        database: Any,
        eraser_of: Any,
        constants: pytest.MonkeyPatch,
        when: str,
    ) -> None:
        """Every write crashes once, before or after it is done; what follows begins anew."""
        await alice.post("/imports/uploads", headers=TUS | {"Upload-Length": "100"})
        alice_id = await id_of()
        await put_everywhere(database, alice_id)
        expected = {name for name, each in HOLDS.items() if each.erased_with(alice_id)}
        await service.begin(OPERATOR, username="alice")
        crashed: set[str] = set()

        def crash_once(target: Any, name: str) -> None:
            real = getattr(target, name)

            async def step(*arguments: Any, **more: Any) -> Any:
                key = f"{name} {[each for each in arguments if isinstance(each, str)]}"
                is_first = key not in crashed
                crashed.add(key)
                if is_first and when == "before":
                    raise Crashed
                answer = await real(*arguments, **more)
                if is_first:
                    raise Crashed
                return answer

            constants.setattr(target, name, step)

        for target, name in (
            (worker, "stop_work"),
            (worker, "destroy_keys"),
            (worker, "read_clock"),
            (worker, "transact"),
            (removal.Removal, "_remove_some"),
            (Erasure, "move"),
            (Erasure, "take"),
        ):
            crash_once(target, name)
        while (await the_erasure(database))["state"] != "pending":
            await make_due(database)
            try:
                await eraser_of(alice).work()
            except Crashed:
                continue

        assert len(crashed) > len(expected)
        assert not await traces(database, alice_id)
        erasure = await the_erasure(database)
        counted = expected - {"leases", "rate_limits"}
        expected_counts = dict.fromkeys(counted, 1) | {"import_uploads": 2, "sessions": 2}
        if usual_master() is not None:
            # Beside the one that every collection has, the key that sealed her content.
            expected_counts["user_keys"] = 2
        assert erasure["counts"] == expected_counts
        receipts = {"action": "user.erase_receipt"}
        assert await database.audit_logs.count_documents(receipts) == 1


class Crashed(BaseException):
    """The process was killed."""


class TestAccount:
    async def test_is_closed_at_once(
        self, alice: HttpClient, elsewhere: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        key = await key_of()
        with_key = program(alice, key)
        await begun(alice)

        for browser in (alice, elsewhere):
            assert (await browser.get("/auth/me")).status == 401
        await problem(await with_key.get("/auth/me"), 401, "invalid_api_key")
        given = {"username": "alice", "password": PASSWORD}
        assert (await bob.post("/auth/login", json=given)).status == 401
        await with_key.close()

    async def test_ends_live_connections_in_each_process(
        self, alice: HttpClient, database: Any
    ) -> None:
        alice_id = await id_of()
        await begun(alice)

        entry = await database.audit_logs.find_one({"action": "user.erase"})

        assert "user.erase" in str(PIPELINE)
        assert read_change({"fullDocument": entry}) == SessionsEnded(alice_id)

    async def test_keeps_its_name_until_all_is_removed(
        self, alice: HttpClient, bob: HttpClient, carry_out: Any
    ) -> None:
        again = account("alice") | {"password": "another horse"}
        await begun(alice)

        await problem(await bob.post("/auth/register", json=again), 400, "already_taken")
        await carry_out(alice)
        assert (await bob.post("/auth/register", json=again)).status == 200

    async def test_cannot_be_opened_or_renamed_meanwhile(self, alice: HttpClient) -> None:
        from chatvault.accounts import service as accounts  # noqa: PLC0415  # for this test alone

        await begun(alice)

        with pytest.raises(BeingErased):
            await accounts.set_active(OPERATOR, username="alice", is_active=True)
        with pytest.raises(BeingErased):
            await accounts.rename(OPERATOR, username="alice", new_username="alicia")
        with pytest.raises(BeingErased):
            await service.begin(OPERATOR, username="alice")


class TestRefusals:
    async def test_of_a_wrong_password(self, alice: HttpClient, database: Any) -> None:
        await problem(await erase(alice, "wrong horse"), 401, "invalid_credentials")

        assert (await alice.get("/auth/me")).status == 200
        assert await the_erasure(database) is None

    async def test_of_an_api_key(self, alice: HttpClient) -> None:
        client = program(alice, await key_of())
        await problem(await erase(client), 403, "session_required")
        await client.close()

    async def test_of_a_hold(self, alice: HttpClient, constants: pytest.MonkeyPatch) -> None:
        async def is_held(*_: object) -> bool:
            return False

        constants.setattr(service, "erasable", is_held)
        await problem(await erase(alice), 409, "held")
        assert (await alice.get("/auth/me")).status == 200

    async def test_of_the_last_administrator(self, sign_in: SignIn, database: Any) -> None:
        admin = await sign_in("root", role=Role.ADMIN)

        await problem(await erase(admin), 409, "last_administrator")
        with pytest.raises(LastAdministrator):
            await service.begin(OPERATOR, username="root")
        await sign_in("second", role=Role.ADMIN)
        assert (await erase(admin)).status == 202

    async def test_of_an_account_for_programs(self, alice: HttpClient, database: Any) -> None:
        await database.users.update_one({}, {"$set": {"is_service": True}})

        with pytest.raises(ServiceAccount):
            await service.begin(OPERATOR, username="alice")

    async def test_of_a_strange_token(self, alice: HttpClient, bob: HttpClient) -> None:
        receipt = await begun(alice)

        assert (await status_of(bob, receipt)).status == 200
        await problem(await status_of(bob, receipt, "another"), 404, "not_found")
        unknown = receipt | {"id": str(ObjectId())}
        await problem(await status_of(bob, unknown), 404, "not_found")
        await problem(await status_of(bob, receipt | {"id": "x"}), 404, "not_found")
        assert (await bob.get(f"/erasures/{receipt['id']}")).status == 404


class TestWork:
    async def test_gets_a_request_to_stop(
        self, alice: HttpClient, database: Any, eraser_of: Any
    ) -> None:
        mine = {"user_id": await id_of()}
        await database.replies.insert_one({**mine, "state": "running"})
        await database.imports.insert_one({**mine, "state": "running"})
        await database.imports.insert_one({**mine, "state": "queued"})
        await database.exports.insert_one({**mine, "is_open": True})
        await begun(alice)
        await eraser_of(alice)._stop(await the_erasure(database))

        assert (await database.replies.find_one(mine))["cancel_requested"]
        states = {each["state"] async for each in database.imports.find(mine)}
        assert states == {"running", "cancelled"}
        assert not (await database.exports.find_one(mine))["is_open"]

    async def test_waits_before_anything_is_removed(
        self, alice: HttpClient, database: Any, app: Any
    ) -> None:
        from chatvault.background import ERASER  # noqa: PLC0415  # for this test alone

        await begin(alice, title=WORD)
        await begun(alice)
        await app[ERASER].work()
        await app[ERASER].work()

        assert (await the_erasure(database))["step"] == "remove"
        assert await database.conversations.count_documents({}) == 1

    async def test_waits_for_the_files_of_another_machine(
        self, alice: HttpClient, database: Any, carry_out: Any, constants: pytest.MonkeyPatch
    ) -> None:
        upload = {"user_id": await id_of(), "place": "another", "name": WORD}
        await database.import_uploads.insert_one(upload)
        await begun(alice)
        constants.setattr(worker, "LOOK_SECONDS", 60)
        await carry_out(alice)
        await make_due(database)
        erasure = await carry_out(alice)

        assert erasure["step"] == "look"
        await database.erasures.update_one({}, {"$set": {"uploads.0.is_removed": True}})
        await make_due(database)
        assert (await carry_out(alice))["state"] == "pending"

    async def test_imports_nothing_more(self, alice: HttpClient) -> None:
        await begun(alice)
        with pytest.raises(BeingErased):
            await User.require_kept(await id_of())


class TestFinality:
    async def test_follows_the_oplog(self, alice: HttpClient, app: Any) -> None:
        client, followed = app[CLIENT], Lease.get_pymongo_collection()
        at = await finality.read_clock(client)

        assert await finality.has_passed(client, followed, Timestamp(at.time - 10**6, 1))
        assert not await finality.has_passed(client, followed, at)
        expected = await finality.expect_passed(client, at)
        assert expected is not None
        assert expected.timestamp() > at.time

    async def test_follows_a_change_stream_where_the_oplog_cannot_be_read(
        self, alice: HttpClient, app: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @contextlib.asynccontextmanager
        async def lose(*_: object) -> AsyncIterator[None]:
            # The oplog of the tests has all since its beginning.
            raise StreamLost
            yield

        client: Any = Unreadable(app[CLIENT])
        followed = Lease.get_pymongo_collection()
        at = await finality.read_clock(client)

        assert await finality.expect_passed(client, at) is None
        assert not await finality.has_passed(client, followed, at)
        assert not await finality.has_passed(client, followed, Timestamp(at.time - 1, 1))
        monkeypatch.setattr(finality, "watch", lose)
        assert await finality.has_passed(client, followed, Timestamp(at.time - 1, 1))


class Unreadable:
    """A connection without the right to read the oplog."""

    def __init__(self, client: Any) -> None:
        self.admin = client.admin

    def __getitem__(self, name: str) -> Any:
        return self

    async def find_one(self, *_: object, **__: object) -> Any:
        raise OperationFailure("not authorized", 13)


class TestMyData:
    async def test_is_counted(self, alice: HttpClient, bob: HttpClient) -> None:
        talk = await begin(alice, messages=[message("Hi") for _ in range(3)])
        await begin(bob, messages=[message("Hi")])
        await alice.post(
            f"/conversations/{talk['id']}/attachments",
            params={"name": "map"},
            data=io.BytesIO(b"12345"),
            headers={"Content-Type": "text/plain"},
        )

        found = await (await alice.get("/users/me/data")).json()

        assert found["conversations"] == {"count": 1, "bytes": None}
        assert found["messages"]["count"] == 3
        assert found["messages"]["bytes"] > 0
        assert found["attachments"] == {"count": 1, "bytes": 5}
        assert found["agents"]["count"] == 0
        assert (await alice.get("/users/me/data")).status == 200
