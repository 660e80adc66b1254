"""Users' data keys: created, read again, wrapped anew, and refused without their master key."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from chatvault.actor import Actor, Door
from chatvault.audit.recorder import Recorder
from chatvault.erasure.key_destruction import destroy_keys
from chatvault.fields import now
from chatvault.vault import service
from chatvault.vault.data_keys import FRESH_SECONDS, HELD_SECONDS, DataKeys, KeysUnavailable
from chatvault.vault.envelope import UnknownEpoch, Unreadable
from chatvault.vault.masters import MasterKeys
from chatvault.vault.service import DataKeyUnreadable, MasterKeysMissing

OLD, NEW = (bytes([n]) * 32 for n in (1, 2))
OPERATOR = Actor(door=Door.CLI)
pytestmark = pytest.mark.usefixtures("http")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def keys_of(*roots: bytes, clock: Clock | None = None) -> DataKeys:
    return DataKeys(MasterKeys(roots or (OLD,)), clock or Clock())


async def sealed_by(keys: DataKeys, user_id: ObjectId) -> bytes:
    await keys.fetch([user_id], to_seal=True)
    return keys.seal(user_id, b"words", b"here")


class TestDataKeys:
    async def test_are_created_once_by_several_processes(self, database: Any) -> None:
        user_id, processes = ObjectId(), [keys_of() for _ in range(4)]

        sealed = await asyncio.gather(*(sealed_by(each, user_id) for each in processes))

        assert await database["user_keys"].count_documents({}) == 1
        for each in processes:
            for value in sealed:
                assert each.opener(user_id, final=True)(value, b"here") == b"words"

    async def test_are_not_stored_readably(self, database: Any) -> None:
        user_id, keys = ObjectId(), keys_of()
        await sealed_by(keys, user_id)

        stored = await database["user_keys"].find_one()
        root = keys.masters.newest.unwrap(stored["wrapped"], user_id, 1)
        assert root is not None
        assert root not in stored["wrapped"]
        assert stored["key_id"] == keys.masters.newest.id

    async def test_are_read_again_after_a_minute(self) -> None:
        clock, user_id = Clock(), ObjectId()
        keys = keys_of(clock=clock)
        assert keys.missing([user_id]) == [user_id]
        await keys.fetch([user_id])
        assert keys.missing([user_id]) == []
        assert keys.missing([user_id], to_seal=True) == [user_id]
        clock.now += FRESH_SECONDS + 1
        assert keys.missing([user_id]) == [user_id]

    async def test_leave_the_memory_soon_after(self) -> None:
        clock, user_id = Clock(), ObjectId()
        keys = keys_of(clock=clock)
        sealed = await sealed_by(keys, user_id)
        clock.now += HELD_SECONDS + 1
        await keys.fetch([ObjectId()])

        with pytest.raises(KeysUnavailable):
            keys.opener(user_id, final=True)(sealed, b"here")

    async def test_change_each_month(self, database: Any) -> None:
        user_id, keys = ObjectId(), keys_of()
        first = await sealed_by(keys, user_id)
        long_ago = now() - timedelta(days=31)
        await database["user_keys"].update_many({}, {"$set": {"created_at": long_ago}})
        await keys.fetch([user_id])
        assert keys.missing([user_id], to_seal=True) == [user_id]

        second = await sealed_by(keys, user_id)

        assert [each["epoch"] async for each in database["user_keys"].find()] == [1, 2]
        for value in (first, second):
            assert keys.opener(user_id, final=True)(value, b"here") == b"words"

    async def test_of_another_process_are_read_when_they_are_met(self) -> None:
        user_id, keys, others = ObjectId(), keys_of(), keys_of()
        await keys.fetch([user_id])
        sealed = await sealed_by(others, user_id)

        with pytest.raises(UnknownEpoch):
            keys.opener(user_id, final=False)(sealed, b"here")
        with pytest.raises(Unreadable):
            keys.opener(user_id, final=True)(sealed, b"here")
        await keys.fetch([user_id])
        assert keys.opener(user_id, final=True)(sealed, b"here") == b"words"

    async def test_of_another_user_open_nothing(self, database: Any) -> None:
        mine, other, keys = ObjectId(), ObjectId(), keys_of()
        sealed = await sealed_by(keys, mine)
        await sealed_by(keys, other)
        with pytest.raises(Unreadable):
            keys.opener(other, final=True)(sealed, b"here")
        # Nor if a wrapped key was copied from one user to the other.
        await database["user_keys"].delete_one({"user_id": other})
        await database["user_keys"].update_one({"user_id": mine}, {"$set": {"user_id": other}})
        await keys.fetch([other])
        with pytest.raises(Unreadable):
            keys.opener(other, final=True)(sealed, b"here")

    async def test_without_their_master_key_are_neither_read_nor_replaced(
        self, database: Any
    ) -> None:
        user_id = ObjectId()
        await sealed_by(keys_of(OLD), user_id)
        before = await database["user_keys"].find().to_list()

        with pytest.raises(KeysUnavailable):
            await sealed_by(keys_of(NEW), user_id)

        assert await database["user_keys"].find().to_list() == before


class TestDestruction:
    async def test_leaves_nothing_that_opens_the_users_words(self) -> None:
        one, other, keys = ObjectId(), ObjectId(), keys_of()
        sealed, others = await sealed_by(keys, one), await sealed_by(keys, other)

        assert (await destroy_keys(one), await destroy_keys(one)) == (1, 0)
        keys.drop(one)

        for reading in (keys, keys_of()):
            await reading.fetch([one, other])
            with pytest.raises(Unreadable):
                reading.opener(one, final=True)(sealed, b"here")
            assert reading.opener(other, final=True)(others, b"here") == b"words"
        await service.check_masters(MasterKeys([OLD]))


class TestStart:
    async def test_needs_the_master_keys_that_were_used(self) -> None:
        await service.check_masters(None)
        await sealed_by(keys_of(OLD), ObjectId())

        await service.check_masters(MasterKeys([NEW, OLD]))
        for given, said in ((None, "set CHATVAULT_MASTER_KEYS"), (MasterKeys([NEW]), "behind the")):
            with pytest.raises(MasterKeysMissing, match=said) as refused:
                await service.check_masters(given)
            assert "\n" not in refused.value.detail


class TestRotation:
    async def test_wraps_all_keys_with_the_newest(self, database: Any) -> None:
        users, old = [ObjectId() for _ in range(3)], keys_of(OLD)
        sealed = {each: await sealed_by(old, each) for each in users}
        masters = MasterKeys([NEW, OLD])

        assert await service.rotate(OPERATOR, masters=masters) == 3
        assert await service.rotate(OPERATOR, masters=masters) == 0

        await service.check_masters(MasterKeys([NEW]))
        keys = keys_of(NEW)
        await keys.fetch(users)
        for user_id, value in sealed.items():
            assert keys.opener(user_id, final=True)(value, b"here") == b"words"
        entries = await database["audit_logs"].find({"action": "master_key.rotate"}).to_list()
        assert [each["details"]["data_keys"] for each in entries] == [3]

    async def test_ends_at_a_key_that_was_changed(self, database: Any) -> None:
        user_id = ObjectId()
        await sealed_by(keys_of(OLD), user_id)
        await database["user_keys"].update_one({}, {"$set": {"wrapped": b"x" * 60}})

        with pytest.raises(DataKeyUnreadable, match=str(user_id)):
            await service.rotate(OPERATOR, masters=MasterKeys([NEW, OLD]))

    async def test_lists_what_each_key_wraps(self) -> None:
        await sealed_by(keys_of(OLD), ObjectId())
        masters = MasterKeys([NEW, OLD])

        listed = await service.list_masters(OPERATOR, Recorder(), masters=masters)

        assert [(each.is_newest, each.is_given, each.wraps) for each in listed] == [
            (True, True, 0),
            (False, True, 1),
        ]

    async def test_retires_keys_without_losing_them(self) -> None:
        user_id, keys = ObjectId(), keys_of(OLD)
        sealed = await sealed_by(keys, user_id)

        assert await service.retire_data_keys(OPERATOR) == 1

        await service.check_masters(None)
        await keys.fetch([user_id])
        assert keys.opener(user_id, final=True)(sealed, b"here") == b"words"
        # What seals nevertheless has a key of its own, without which no start is possible.
        await sealed_by(keys, user_id)
        with pytest.raises(MasterKeysMissing):
            await service.check_masters(None)
