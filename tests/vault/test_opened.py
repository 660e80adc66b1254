"""Opened values that are kept: found for the same bytes in the same place, and for nothing else."""

import pytest
from bson import ObjectId

from chatvault.erasure.key_destruction import destroy_keys
from chatvault.vault.data_keys import FRESH_SECONDS, HELD_SECONDS, DataKeys
from chatvault.vault.envelope import Unreadable
from chatvault.vault.masters import MasterKeys
from chatvault.vault.opened import MOST_BYTES, OVERHEAD, OpenedValues

USER, OTHER = ObjectId(), ObjectId()


class TestOpenedValues:
    def test_find_the_same_bytes_in_the_same_place(self) -> None:
        kept = OpenedValues()
        kept.keep(USER, b"here", b"sealed", b"words")
        assert kept.find(USER, b"here", bytes(bytearray(b"sealed"))) == b"words"
        assert kept.find(USER, b"here", b"Sealed") is None
        assert kept.find(USER, b"there", b"sealed") is None
        assert kept.find(OTHER, b"here", b"sealed") is None

    def test_keep_no_more_than_the_limit(self) -> None:
        kept = OpenedValues(10 * (OVERHEAD + 2))
        for number in range(100):
            kept.keep(ObjectId(), b"%d" % number, b"s", b"o")
            assert len(kept) <= 10
        assert len(kept) >= 5

    def test_keep_what_is_used(self) -> None:
        kept = OpenedValues(10 * (OVERHEAD + 2))
        kept.keep(USER, b"here", b"s", b"o")
        for number in range(100):
            kept.keep(OTHER, b"%d" % number, b"s", b"o")
            assert kept.find(USER, b"here", b"s") == b"o"
        assert kept.find(OTHER, b"0", b"s") is None

    def test_keep_nothing_large(self) -> None:
        kept = OpenedValues()
        kept.keep(USER, b"here", b"s", b"o" * MOST_BYTES)
        assert len(kept) == 0

    def test_drop_those_of_a_user(self) -> None:
        kept = OpenedValues(4 * (OVERHEAD + 2))
        for number in range(3):
            kept.keep(USER, b"%d" % number, b"s", b"o")
        kept.keep(OTHER, b"0", b"s", b"o")
        kept.drop(USER)
        assert all(kept.find(USER, b"%d" % number, b"s") is None for number in range(3))
        assert kept.find(OTHER, b"0", b"s") == b"o"


@pytest.mark.usefixtures("http")
class TestKeys:
    async def test_refuse_what_was_changed_since(self) -> None:
        keys = DataKeys(MasterKeys([bytes(32)]))
        sealed = await self.read_once(keys)
        open_sealed = keys.opener(USER, final=True, keeps=True)
        for at in range(len(sealed)):
            with pytest.raises(Unreadable):
                open_sealed(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], b"here")
        with pytest.raises(Unreadable):
            open_sealed(sealed, b"there")
        assert open_sealed(sealed, b"here") == b"words"

    async def test_open_nothing_once_they_are_destroyed(self) -> None:
        now = 0.0
        keys = DataKeys(MasterKeys([bytes(32)]), lambda: now)
        sealed = await self.read_once(keys)
        await destroy_keys(USER)
        now += FRESH_SECONDS + 1
        assert keys.missing([USER]) == [USER]
        await keys.fetch([USER])
        with pytest.raises(Unreadable):
            keys.opener(USER, final=True, keeps=True)(sealed, b"here")

    async def test_leave_the_memory_with_what_they_opened(self) -> None:
        now = 0.0
        keys = DataKeys(MasterKeys([bytes(32)]), lambda: now)
        await self.read_once(keys)
        assert len(keys.opened) == 1
        now += HELD_SECONDS + 1
        await keys.fetch([OTHER])
        assert len(keys.opened) == 0
        await self.read_once(keys)
        keys.drop(USER)
        assert len(keys.opened) == 0

    @staticmethod
    async def read_once(keys: DataKeys) -> bytes:
        await keys.fetch([USER], to_seal=True)
        sealed = keys.seal(USER, b"words", b"here")
        assert keys.opener(USER, final=True, keeps=True)(sealed, b"here") == b"words"
        return sealed
