"""Sealing bytes, and opening them."""

import secrets

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from chatvault.settings import InvalidSettings, Settings
from chatvault.vault.envelope import (
    COMPRESSED,
    OVERHEAD,
    Compressor,
    DataKey,
    Unreadable,
    epoch_of,
)
from chatvault.vault.masters import MasterKey, MasterKeys, load_master_keys

KEY = DataKey(bytes(32), 7)
COMPRESSOR = Compressor()
DATA = st.binary(max_size=3000)


class TestDataKeys:
    @given(data=DATA, place=st.binary(max_size=40), epoch=st.integers(1, 2**32 - 1))
    def test_open_what_they_sealed(self, data: bytes, place: bytes, epoch: int) -> None:
        key = DataKey(bytes(32), epoch)

        sealed = key.seal(data, place, COMPRESSOR)

        assert epoch_of(sealed) == epoch
        assert key.open(sealed, place, COMPRESSOR) == data

    @given(data=DATA, at=st.integers(0), bit=st.integers(0, 7))
    def test_open_nothing_that_was_changed(self, data: bytes, at: int, bit: int) -> None:
        sealed = bytearray(KEY.seal(data, b"here", COMPRESSOR))
        sealed[at % len(sealed)] ^= 1 << bit

        with pytest.raises(Unreadable):
            KEY.open(bytes(sealed), b"here", COMPRESSOR)

    @given(sealed=st.binary(max_size=100))
    def test_open_nothing_else(self, sealed: bytes) -> None:
        with pytest.raises(Unreadable):
            KEY.open(sealed, b"here", COMPRESSOR)

    def test_open_nothing_of_another_place_or_key(self) -> None:
        sealed = KEY.seal(b"words", b"here", COMPRESSOR)

        for key, place in ((KEY, b"there"), (DataKey(bytes(31) + b"1", 7), b"here")):
            with pytest.raises(Unreadable):
                key.open(sealed, place, COMPRESSOR)

    def test_compress_what_is_long(self) -> None:
        short, long = (KEY.seal(b"x" * size, b"", COMPRESSOR) for size in (1023, 1024))
        noise = KEY.seal(secrets.token_bytes(5000), b"", COMPRESSOR)

        assert len(short) == 1023 + OVERHEAD
        assert len(long) < 100
        assert long[0] == COMPRESSED
        assert len(noise) == 5000 + OVERHEAD

    def test_never_repeat_a_nonce(self) -> None:
        nonces = {KEY.seal(b"", b"", COMPRESSOR)[5:17] for _ in range(1000)}

        assert len(nonces) == 1000

    def test_derive_a_key_for_each_purpose(self) -> None:
        derived = {KEY.derive(purpose) for purpose in ("content", "search", "macs")}

        assert len(derived) == 3
        assert bytes(32) not in derived


class TestMasterKeys:
    def test_unwrap_only_what_they_wrapped_for_a_user_and_an_epoch(self) -> None:
        key, user_id = MasterKey(bytes(32)), ObjectId()
        wrapped = key.wrap(b"k" * 32, user_id, 1)

        assert key.unwrap(wrapped, user_id, 1) == b"k" * 32
        assert key.unwrap(wrapped, ObjectId(), 1) is None
        assert key.unwrap(wrapped, user_id, 2) is None
        assert MasterKey(b"1" * 32).unwrap(wrapped, user_id, 1) is None
        assert key.unwrap(b"", user_id, 1) is None

    def test_are_found_by_their_ids(self) -> None:
        keys = MasterKeys([bytes(32), b"1" * 32])

        assert keys.newest.id == keys.ids[0] == MasterKey(bytes(32)).id
        assert keys.find(keys.ids[1]) is not None
        assert keys.find("12345678") is None

    @pytest.mark.parametrize("text", ["x", "0" * 63, "0" * 64 + ",", "0" * 64 + " " + "1" * 64])
    def test_are_refused_with_what_to_do_if_they_are_malformed(self, text: str) -> None:
        with pytest.raises(ValueError, match="openssl rand -hex 32"):
            Settings(master_keys=text)

    def test_are_refused_if_they_are_the_same(self) -> None:
        settings = Settings(master_keys=f"{'0' * 64}, {'0' * 64}")

        with pytest.raises(InvalidSettings, match="twice"):
            load_master_keys(settings)

    def test_may_be_absent(self) -> None:
        assert load_master_keys(Settings()) is None
        assert load_master_keys(Settings(master_keys="")) is None
