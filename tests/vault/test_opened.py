"""Opened values that are kept: found for the same bytes in the same place, and for nothing else."""

from typing import Any

import pytest
from bson import ObjectId

from chatvault.erasure.key_destruction import destroy_keys
from chatvault.vault.data_keys import FRESH_SECONDS, HELD_SECONDS, DataKeys
from chatvault.vault.masters import MasterKeys
from chatvault.vault.opened import MOST_BYTES, MOST_VALUES, OVERHEAD, OpenedValues

USER, OTHER = ObjectId(), ObjectId()
ONE: dict[str | int, tuple[bytes, bytes]] = {"x": (b"s", b"o")}


def found(kept: OpenedValues, user_id: ObjectId, place: bytes, sealed: bytes = b"s") -> Any:
    group = kept.find(user_id, place)
    return group and group.find("x", sealed)


class TestOpenedValues:
    def test_find_the_same_bytes_in_the_same_place(self) -> None:
        kept = OpenedValues()
        kept.keep(USER, b"here", {"x": (b"sealed", b"words")})
        assert found(kept, USER, b"here", bytes(bytearray(b"sealed"))) == b"words"
        assert found(kept, USER, b"here", b"Sealed") is None
        assert found(kept, USER, b"there", b"sealed") is None
        assert found(kept, OTHER, b"here", b"sealed") is None

    def test_find_several_if_all_are_the_same(self) -> None:
        kept = OpenedValues()
        kept.keep(USER, b"here", {n: (b"s%d" % n, b"o%d" % n) for n in range(3)})
        kept.keep(USER, b"here", {3: (b"s3", b"o3")})
        group = kept.find(USER, b"here")
        assert group is not None
        assert group.all_of([3, 1], [b"s3", b"s1"]) == [b"o3", b"o1"]
        assert group.all_of([3, 1], [b"s3", b"s2"]) is None
        assert group.all_of([3, 4], [b"s3", b"s4"]) is None
        assert group.find(2, b"s2") == b"o2"

    def test_begin_empty_where_too_many_are_together(self) -> None:
        kept = OpenedValues()
        kept.keep(USER, b"here", dict.fromkeys(range(MOST_VALUES), (b"s", b"o")))
        assert len(kept) == MOST_VALUES
        kept.keep(USER, b"here", {MOST_VALUES: (b"s", b"o")})
        assert len(kept) == 1

    def test_keep_no_more_than_the_limit(self) -> None:
        kept = OpenedValues(10 * (OVERHEAD + 2))
        for number in range(100):
            kept.keep(ObjectId(), b"%d" % number, ONE)
            assert len(kept) <= 10
        assert len(kept) >= 5

    def test_count_a_value_once_that_is_kept_again(self) -> None:
        kept = OpenedValues(4 * (OVERHEAD + 2))
        kept.keep(OTHER, b"here", ONE)
        for _ in range(100):
            kept.keep(USER, b"here", ONE)
        assert found(kept, OTHER, b"here") == b"o"

    def test_keep_what_is_used(self) -> None:
        kept = OpenedValues(10 * (OVERHEAD + 2))
        kept.keep(USER, b"here", ONE)
        for number in range(100):
            kept.keep(OTHER, b"%d" % number, ONE)
            assert found(kept, USER, b"here") == b"o"
        assert found(kept, OTHER, b"0") is None

    def test_keep_nothing_large(self) -> None:
        kept = OpenedValues()
        kept.keep(USER, b"here", {"x": (b"s", b"o" * MOST_BYTES)})
        assert len(kept) == 0

    def test_drop_those_of_a_user(self) -> None:
        kept = OpenedValues(4 * (OVERHEAD + 2))
        for number in range(3):
            kept.keep(USER, b"%d" % number, ONE)
        kept.keep(OTHER, b"0", ONE)
        kept.drop(USER)
        assert all(found(kept, USER, b"%d" % number) is None for number in range(3))
        assert found(kept, OTHER, b"0") == b"o"


def opened(keys: DataKeys, place: bytes, *sealed: bytes) -> list[bytes | None]:
    names: list[str | int] = [*range(len(sealed))]
    values = names, [*sealed]
    return [*keys.open_together(USER, place, values, lambda _: b"", final=True)]


@pytest.mark.usefixtures("http")
class TestKeys:
    async def test_refuse_what_was_changed_since(self) -> None:
        keys = DataKeys(MasterKeys([bytes(32)]))
        sealed = await self.read_once(keys)
        for at in range(len(sealed)):
            changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
            assert opened(keys, b"here", changed) == [None]
        assert opened(keys, b"there", sealed) == [None]
        assert opened(keys, b"here", sealed) == [b"words"]

    async def test_open_the_rest_beside_what_does_not_open(self) -> None:
        keys = DataKeys(MasterKeys([bytes(32)]))
        sealed = await self.read_once(keys)
        more = keys.seal(USER, b"more", b"here")
        for _ in range(2):
            assert opened(keys, b"here", sealed, more[:-1], more) == [b"words", None, b"more"]
        assert len(keys.opened) == 2

    async def test_open_nothing_once_they_are_destroyed(self) -> None:
        now = 0.0
        keys = DataKeys(MasterKeys([bytes(32)]), lambda: now)
        sealed = await self.read_once(keys)
        await destroy_keys(USER)
        now += FRESH_SECONDS + 1
        assert keys.missing([USER]) == [USER]
        await keys.fetch([USER])
        assert opened(keys, b"here", sealed) == [None]
        assert len(keys.opened) == 0

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
        assert opened(keys, b"here", sealed) == [b"words"]
        return sealed
