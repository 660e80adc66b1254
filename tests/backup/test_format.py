"""The file of a backup: what was written is read, and what was changed is noticed."""

import io
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest

from chatvault.audit.keys import KeyRing
from chatvault.backup import service
from chatvault.backup.errors import BackupDamaged, NotABackup
from chatvault.backup.files import BackupHeader, BackupReader, BackupWriter

KEYS = KeyRing([bytes(32)])
OTHER_KEYS = KeyRing([bytes(31) + b"\x01"])
HEADER = BackupHeader(
    id="6b001b21937515fd1e5054ed",
    made_at=datetime(2026, 11, 22, tzinfo=UTC),
    version="0.1.0",
    mongodb="6.0.5",
    database="chatvault",
)
USERS = [bson.encode({"_id": each, "name": "x" * each}) for each in range(5)]


def written(documents: list[bytes], keys: KeyRing = KEYS, collection: str = "users") -> bytes:
    file = io.BytesIO()
    writer = BackupWriter(file, HEADER)
    writer.begin("agents")
    writer.begin(collection)
    for first in range(0, len(documents), 2):
        writer.add(b"".join(documents[first : first + 2]))
    writer.finish(keys)
    return file.getvalue()


def read(data: bytes) -> list[tuple[str, bytes]]:
    reader = BackupReader(io.BytesIO(data), Path("x.backup"))
    assert reader.header == HEADER
    found = [(name, each) for name, documents in reader.batches() for each in documents]
    assert reader.end.counts == {"agents": 0, "users": len(USERS)}
    if reader.is_sealed_by(KEYS) is False:
        raise BackupDamaged
    return found


def check(path: Path, data: bytes, keys: KeyRing | None = KEYS) -> service.Checked:
    path.write_bytes(data)
    return service.check(path, lambda _: None, keys=keys)


class TestFile:
    def test_has_what_was_written(self) -> None:
        assert read(written(USERS)) == [("users", each) for each in USERS]

    def test_is_refused_with_any_byte_changed(self) -> None:
        data = written(USERS)
        for at in range(len(data)):
            for change in (1, 0x80):
                changed = bytearray(data)
                changed[at] ^= change
                with pytest.raises((BackupDamaged, NotABackup)):
                    read(bytes(changed))

    def test_is_refused_if_it_was_cut_anywhere(self) -> None:
        data = written(USERS)
        for length in range(len(data)):
            with pytest.raises((BackupDamaged, NotABackup)):
                read(data[:length])

    def test_is_refused_if_something_follows(self) -> None:
        with pytest.raises(BackupDamaged, match="something follows its end"):
            read(written(USERS) + b"\0")

    @pytest.mark.parametrize("data", [b"", b"PK\3\4", b"chatvault backup", bytes(1000)])
    def test_of_another_kind_is_refused(self, data: bytes) -> None:
        with pytest.raises(NotABackup, match=r"x\.backup is no backup of chatvault"):
            read(data)

    def test_of_a_newer_format_is_refused(self) -> None:
        newer = written(USERS).replace(b"backup 1\n", b"backup 2\n", 1)
        with pytest.raises(NotABackup, match="a newer chatvault, in format 2; this one reads"):
            read(newer)

    def test_with_a_collection_of_a_newer_version_is_refused(self, tmp_path: Path) -> None:
        data = written(USERS, collection="holograms")
        with pytest.raises(NotABackup, match=r"written by chatvault 0\.1\.0, which has holograms"):
            check(tmp_path / "x", data)

    def test_cannot_claim_a_huge_part(self) -> None:
        data = bytearray(written(USERS))
        at = data.index(b"\n") + 1
        data[at + 5 : at + 9] = b"\xff\xff\xff\x7f"
        with pytest.raises(BackupDamaged):
            read(bytes(data))


class TestSeal:
    def test_of_our_key_is_recognised(self, tmp_path: Path) -> None:
        assert check(tmp_path / "x", written(USERS)).is_ours

    def test_of_another_key_is_unknown(self, tmp_path: Path) -> None:
        checked = check(tmp_path / "x", written(USERS, OTHER_KEYS))
        assert not checked.is_ours
        assert checked.key_id == OTHER_KEYS.current.id
        assert not check(tmp_path / "x", written(USERS), None).is_ours

    def test_is_refused_if_it_was_made_without_the_key(self, tmp_path: Path) -> None:
        """Somebody who changes documents can compute the hashes, but not the MAC."""
        forger = KeyRing([bytes(31) + b"\x01"])
        forger.current.id = KEYS.current.id
        with pytest.raises(BackupDamaged, match="was changed on purpose"):
            check(tmp_path / "x", written(USERS[:3], forger))
