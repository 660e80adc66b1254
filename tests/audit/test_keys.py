"""The key ring: where keys come from, and that a MAC holds against every change."""

import stat
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chatvault.audit.keys import (
    FILE_NAME,
    InvalidKeys,
    Key,
    KeyRing,
    KeysMissing,
    is_signed,
    load_key_ring,
    new_root,
    prepend_key,
)
from chatvault.audit.models import AuditEntry
from chatvault.documents import bind_documents
from chatvault.settings import Environment, Settings
from support.sealing import Log, entry

RING = KeyRing([bytes(range(32))])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda k: "\0" not in k), inner)
    ),
    max_leaves=5,
)


class TestFile:
    def test_is_created_at_the_first_start_for_its_owner_only(self, settings: Settings) -> None:
        ring = load_key_ring(settings)
        path = settings.data_dir / FILE_NAME

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(bytes.fromhex(path.read_text().strip())) == 32
        assert load_key_ring(settings).current.id == ring.current.id

    def test_keeps_old_keys_to_verify(self, settings: Settings) -> None:
        before = load_key_ring(settings)
        old = bson.encode(before.stamp(entry()))
        path = settings.data_dir / FILE_NAME
        root = new_root()

        prepend_key(path, root)

        after = load_key_ring(settings)
        assert after.current.id == Key(root).id != before.current.id
        assert after.is_genuine(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert before.is_genuine(bson.encode(after.stamp(entry()))), "a ring reads its file again"

    def test_is_refused_if_it_is_damaged(self, settings: Settings) -> None:
        path = settings.data_dir / FILE_NAME
        path.touch(mode=0o600)
        path.write_text("x" * 64)
        with pytest.raises(InvalidKeys):
            load_key_ring(settings)


class TestMissingKeys:
    """Keys that are not those that sealed the log, beside its blocks."""

    async def bind(self, log: Log, settings: Settings) -> None:
        await bind_documents(log.database.client, "tests-seal", load_key_ring(settings))

    async def test_do_not_get_a_new_file(self, log: Log, settings: Settings) -> None:
        await log.write_blocks(1, 1)
        path = settings.data_dir / FILE_NAME
        kept = path.read_bytes()
        path.unlink()
        for _ in range(2):
            with pytest.raises(KeysMissing, match=f"{path} is missing: put your copy of it back"):
                await self.bind(log, settings)
            assert not path.exists()

        path.touch(mode=0o600)
        path.write_bytes(kept)
        await self.bind(log, settings)

    async def test_get_a_new_file_if_nothing_is_sealed(self, log: Log, settings: Settings) -> None:
        path = settings.data_dir / FILE_NAME
        path.unlink()
        await self.bind(log, settings)
        assert path.exists()

    async def test_refuse_other_keys_of_a_setting_too(self, log: Log, settings: Settings) -> None:
        await log.write_blocks(1)
        other = Settings(data_dir=settings.data_dir, audit_keys=new_root().hex())
        with pytest.raises(KeysMissing, match="add the old keys to CHATVAULT_AUDIT_KEYS"):
            await self.bind(log, other)

    async def test_are_not_missing_with_one_old_key(self, log: Log, settings: Settings) -> None:
        await log.write_blocks(1)
        prepend_key(settings.data_dir / FILE_NAME, new_root())
        await self.bind(log, settings)

    async def test_do_not_count_for_a_tampered_block(self, log: Log, settings: Settings) -> None:
        await log.write_blocks(1)
        await log.blocks.update_one({"_id": 0}, {"$set": {"header": None}})
        await self.bind(log, settings)


class TestSetting:
    def test_takes_precedence_over_the_file(self, tmp_path: Path) -> None:
        roots = [new_root(), new_root()]
        settings = Settings(data_dir=tmp_path, audit_keys=", ".join(r.hex() for r in roots))
        ring = load_key_ring(settings)

        assert ring.current.id == Key(roots[0]).id
        assert ring.find(Key(roots[1]).id) is not None
        assert not (tmp_path / FILE_NAME).exists()

    @pytest.mark.parametrize("text", ["", "ab", "ab" * 32 + ",", "zz" * 32, "ab" * 33])
    def test_is_refused_if_it_is_wrong(self, text: str) -> None:
        with pytest.raises(ValidationError):
            Settings(audit_keys=text)

    def test_is_required_in_production(self) -> None:
        given: dict[str, Any] = {
            "env": Environment.PRODUCTION,
            "mongodb_url": "mongodb://db",
            "secret_key": "x" * 32,
        }
        with pytest.raises(ValidationError, match="CHATVAULT_AUDIT_KEYS must be set"):
            Settings(**given)
        Settings(**given, audit_keys="ab" * 32)


class TestMac:
    def test_covers_all_fields_before_it(self) -> None:
        made = entry()
        stamped = RING.stamp(made)

        assert list(stamped)[-2:] == ["key_id", "mac"]
        assert "mac" not in made
        body = {name: value for name, value in stamped.items() if name != "mac"}
        assert bytes(stamped["mac"]) == RING.current.mac(bson.encode(body))

    @given(VALUES, st.data())
    def test_fails_after_any_change(self, details: Any, data: st.DataObject) -> None:
        raw = bson.encode(RING.stamp(entry(details={"value": details})))
        assert RING.is_genuine(raw)
        place = data.draw(st.integers(0, len(raw) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        changed = raw[:place] + bytes([raw[place] ^ bit]) + raw[place + 1 :]
        assert not RING.is_genuine(changed)

    def test_fails_with_another_key(self) -> None:
        other = KeyRing([new_root()])
        assert not RING.is_genuine(bson.encode(other.stamp(entry())))

    @pytest.mark.parametrize(
        "raw",
        [b"", bson.encode({}), bson.encode({"_id": ObjectId(), "mac": b"x" * 32})],
        ids=["no bytes", "empty", "of no key"],
    )
    def test_is_required(self, raw: bytes) -> None:
        assert not RING.is_genuine(raw)


class TestSignature:
    def test_holds_for_its_message_and_key_only(self) -> None:
        key, other = RING.current, Key(new_root())
        signature = key.sign(b"message")

        assert is_signed(key.public, b"message", signature)
        assert not is_signed(key.public, b"another", signature)
        assert not is_signed(other.public, b"message", signature)
        assert not is_signed(b"no key", b"message", signature)


async def test_without_keys_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AuditEntry, "_key_ring", None)
    with pytest.raises(RuntimeError, match="no audit keys"):
        await AuditEntry.store([entry()])
