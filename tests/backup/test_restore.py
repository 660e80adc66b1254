"""`chatvault backup` and `chatvault restore`: what is put back is what was there."""

import asyncio
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from chatvault import documents as declared
from chatvault.app import create_app
from chatvault.audit.keys import FILE_NAME, load_key_ring
from chatvault.audit.mark import HighWater, Mark
from chatvault.backup import collections
from chatvault.mongodb.restoring import HalfRestored
from chatvault.settings import Settings
from support.commanding import DATABASE, Command, Documents
from support.databases import Cleaner
from support.factories import settings_for
from support.older import put_into

EMPTY = "tests-restored"
RAW = CodecOptions[Any](document_class=RawBSONDocument)
NOT_CHANGED = "nothing was changed"


@pytest.fixture
def mongodb_databases(
    command: Command, mongodb: MongoClient[dict[str, Any]], cleaner: Cleaner, tmp_path: Path
) -> MongoClient[dict[str, Any]]:
    """The commands' database has the data of version 0.1.0, and another is empty."""
    (tmp_path / "data").mkdir(mode=0o700)
    put_into(mongodb[DATABASE], tmp_path / "data")
    cleaner.empty(EMPTY)
    return mongodb


@pytest.fixture
def file(mongodb_databases: Any, command: Command, tmp_path: Path) -> Path:
    """A backup of the commands' database."""
    file = tmp_path / "x.backup"
    done = command("backup", str(file))
    assert done.status == 0, done.err
    assert "collections into " in done.out
    assert file.stat().st_mode & 0o777 == 0o600
    return file


@pytest.fixture
def restored(mongodb_databases: MongoClient[dict[str, Any]]) -> Documents:
    return mongodb_databases[EMPTY]


@pytest.fixture
def elsewhere(command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Commands on the empty database."""

    def run(*arguments: str) -> Any:
        with monkeypatch.context() as patch:
            patch.setenv("CHATVAULT_MONGODB_DATABASE", EMPTY)
            return command(*arguments)

    return run


def raw(database: Documents, name: str) -> set[bytes]:
    found: Any = database.get_collection(name, RAW).find()
    return {bytes(each.raw) for each in found}


def settings_of(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "data", mongodb_database=EMPTY)


class TestRoundTrip:
    def test_puts_every_document_back(
        self, file: Path, elsewhere: Command, documents: Documents, restored: Documents
    ) -> None:
        done = elsewhere("restore", str(file))

        assert done.status == 0, done.err
        assert "Verified the audit log: " in done.out
        added = {"audit_logs": 1, "audit_blocks": 1}
        for name in collections.contained():
            before, after = raw(documents, name), raw(restored, name)
            assert before <= after, name
            assert len(after) == len(before) + added.get(name, 0), name
        assert len(raw(restored, "conversations")) == 3
        assert raw(restored, "restores") == raw(restored, "sessions") == set()

    def test_makes_the_indexes(
        self, file: Path, elsewhere: Command, restored: Documents, documents: Documents
    ) -> None:
        elsewhere("restore", str(file))
        for name in ("conversations", "segments", "sessions"):
            assert restored[name].index_information() == documents[name].index_information()

    def test_leaves_a_log_that_verifies_and_reports_the_restore(
        self, file: Path, elsewhere: Command, restored: Documents
    ) -> None:
        elsewhere("restore", str(file))
        done = elsewhere("audit", "verify")
        assert done.status == 0, done.err
        assert ": restored from a backup with the blocks up to " in done.out
        [entry] = restored["audit_logs"].find({"action": "audit.restore"})
        assert entry["details"]["with_log"] is True
        assert restored["audit_logs"].find_one({"action": "audit.gap"}) is None
        # The service that starts next begins with this block.
        assert restored["audit_blocks"].find_one({"entry_ids": entry["_id"]}) is not None

    def test_reports_which_blocks_are_gone(
        self, file: Path, elsewhere: Command, restored: Documents, tmp_path: Path
    ) -> None:
        """The machine's note says that the log was longer than in the backup."""
        settings = settings_of(tmp_path)
        keys = load_key_ring(settings)
        noted = Mark(90, bytes(range(32)), 12_345)
        asyncio.run(HighWater.of(settings, keys).note(noted))

        assert elsewhere("restore", str(file)).status == 0

        done = elsewhere("audit", "verify")
        assert done.status == 0, done.err
        assert "later blocks were known here, and are gone" in done.out
        [entry] = restored["audit_logs"].find({"action": "audit.restore"})
        told = entry["details"]
        assert (told["known_block"], told["known_entries"]) == (90, 12_345)
        assert told["known_hash"] == noted.hash.hex()
        newest = restored["audit_blocks"].find_one(sort=[("_id", -1)])
        now_noted = HighWater.of(settings, keys).read()
        assert newest is not None
        assert now_noted is not None
        assert now_noted[0].height == newest["_id"]

    def test_ends_imports_whose_uploads_are_not_in_it(
        self, elsewhere: Command, restored: Documents, documents: Documents, command: Command,
        mongodb_databases: Any, tmp_path: Path,
    ) -> None:  # fmt: skip
        running = {"user_id": ObjectId(), "state": "running", "version": 3}
        documents["imports"].insert_one(running)
        command("backup", str(tmp_path / "y"))
        assert elsewhere("restore", str(tmp_path / "y")).status == 0
        job = restored["imports"].find_one({})
        assert job is not None
        assert (job["state"], job["code"], job["version"]) == ("failed", "upload_missing", 4)

    def test_restores_a_log_that_did_not_verify_and_says_so(
        self, command: Command, mongodb_databases: Any, documents: Documents,
        elsewhere: Command, restored: Documents, tmp_path: Path,
    ) -> None:  # fmt: skip
        first = documents["audit_logs"].find_one(sort=[("_id", 1)])
        assert first is not None
        documents["audit_logs"].delete_one({"_id": first["_id"]})
        command("backup", str(tmp_path / "y"))

        done = elsewhere("restore", str(tmp_path / "y"))

        assert done.status == 1
        assert f"does not verify, as it did not in the backup: entry {first['_id']}" in done.err
        assert restored["conversations"].count_documents({}) == 3
        assert elsewhere("users", "list").status == 0


class TestCheck:
    def test_reads_without_writing(
        self, file: Path, elsewhere: Command, restored: Documents
    ) -> None:
        done = elsewhere("restore", "--check", str(file))
        assert done.status == 0, done.err
        assert f"{file} is whole: " in done.out
        assert "of the database tests-cli on MongoDB" in done.out
        assert "which is one of yours" in done.out
        assert not raw(restored, "users")

    def test_finds_damage(self, file: Path, elsewhere: Command, restored: Documents) -> None:
        data = bytearray(file.read_bytes())
        for at in range(7, len(data), len(data) // 12):
            file.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            for arguments in (("--check",), ()):
                done = elsewhere("restore", *arguments, str(file))
                assert done.status in {1, 2}
                assert str(file) in done.line
        file.write_bytes(data[: len(data) // 2])
        done = elsewhere("restore", str(file))
        assert done.status == 1
        assert "is not whole: it was cut or changed at byte" in done.line
        assert "it ends too early" in done.line
        assert not raw(restored, "users")
        assert not raw(restored, "restores")

    def test_refuses_a_wrong_file(self, elsewhere: Command, tmp_path: Path) -> None:
        wrong = tmp_path / "notes.txt"
        wrong.write_text("dear diary")
        done = elsewhere("restore", str(wrong))
        assert (done.status, done.line) == (2, f"chatvault: {wrong} is no backup of chatvault")


class TestTarget:
    def test_must_be_empty(self, file: Path, command: Command, documents: Documents) -> None:
        before = raw(documents, "audit_logs")
        done = command("restore", str(file))
        assert done.status == 1
        assert done.line.startswith("chatvault: The database tests-cli is not empty: users has")
        assert raw(documents, "audit_logs") == before

    def test_must_not_be_used_by_a_service(
        self, file: Path, elsewhere: Command, restored: Documents
    ) -> None:
        soon = datetime.now(UTC) + timedelta(minutes=5)
        restored["leases"].insert_one({"_id": "audit.seal", "holder": "x", "until": soon})
        done = elsewhere("restore", str(file))
        assert done.status == 1
        assert done.line.startswith(f"chatvault: A service uses the database {EMPTY}: stop it")

    def test_forgets_old_sessions_and_leases(
        self, file: Path, elsewhere: Command, restored: Documents
    ) -> None:
        restored["sessions"].insert_one({"token_hash": b"x"})
        restored["leases"].insert_one({"_id": "job", "until": datetime(2026, 1, 1, tzinfo=UTC)})
        assert elsewhere("restore", str(file)).status == 0
        assert not raw(restored, "sessions")
        assert not raw(restored, "leases")


class TestKeys:
    def test_must_be_there(
        self, file: Path, elsewhere: Command, restored: Documents, tmp_path: Path
    ) -> None:
        kept = (tmp_path / "data" / FILE_NAME).rename(tmp_path / "kept")
        done = elsewhere("restore", str(file))
        assert done.status == 1
        assert f"put your copy of {FILE_NAME} into {tmp_path / 'data'}" in done.line
        assert NOT_CHANGED in done.line
        assert not (tmp_path / "data" / FILE_NAME).exists()
        (tmp_path / "data" / FILE_NAME).write_text("ab" * 32)
        (tmp_path / "data" / FILE_NAME).chmod(0o600)
        done = elsewhere("restore", str(file))
        assert done.status == 1
        assert "as a line below the newest" in done.line
        assert not raw(restored, "users")
        with (tmp_path / "data" / FILE_NAME).open("a") as keys:
            keys.write("\n" + kept.read_text())
        assert elsewhere("restore", str(file)).status == 0

    def test_can_be_lost_at_the_cost_of_the_log_only(
        self, file: Path, elsewhere: Command, restored: Documents, documents: Documents,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        (tmp_path / "data" / FILE_NAME).unlink()
        done = elsewhere("restore", "--without-audit-log", str(file))
        assert done.status == 0, done.err
        assert raw(restored, "conversations") == raw(documents, "conversations")
        assert [each["action"] for each in restored["audit_logs"].find()] == ["audit.restore"]
        verified = elsewhere("audit", "verify")
        assert verified.status == 0, verified.err
        assert "restored from a backup without the audit log of before" in verified.out

    def test_of_sealed_words_must_be_there(
        self, command: Command, elsewhere: Command, restored: Documents, documents: Documents,
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    ) -> None:  # fmt: skip
        old, new = "1" * 64, "2" * 64
        monkeypatch.setenv("CHATVAULT_MASTER_KEYS", old)
        documents["templates"].insert_one({"user_id": ObjectId(), "name": "a", "messages": []})
        assert command("encrypt").status == 0
        file = tmp_path / "y"
        assert command("backup", "--with-keys", str(file)).status == 0
        needed = documents["user_keys"].distinct("key_id")
        for given in ("", new):
            monkeypatch.setenv("CHATVAULT_MASTER_KEYS", given)
            done = elsewhere("restore", "--without-audit-log", str(file))
            assert (done.status, needed[0] in done.line) == (1, True), done.line
            assert NOT_CHANGED in done.line
            assert not raw(restored, "users")
        monkeypatch.setenv("CHATVAULT_MASTER_KEYS", f"{new},{old}")
        assert elsewhere("restore", str(file)).status == 0
        assert raw(restored, "templates") == raw(documents, "templates") != set()

    def test_of_sealed_words_are_in_a_second_file(
        self, command: Command, mongodb_databases: Any, elsewhere: Command, restored: Documents,
        documents: Documents, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    ) -> None:  # fmt: skip
        apart = replace(declared.HOLDS["preferences"], kept_apart=True)
        monkeypatch.setitem(declared.HOLDS, "preferences", apart)
        documents["preferences"].insert_one({"user_id": ObjectId(), "preferences": {}})
        file, second = tmp_path / "y", tmp_path / "y.keys"

        assert f"are in {second}: keep it apart" in command("backup", str(file)).out
        assert second.stat().st_mode & 0o777 == 0o600
        assert f"{second} is whole" in elsewhere("restore", "--check", str(file)).out
        assert elsewhere("restore", str(second)).line.endswith("name the first")
        moved = second.rename(tmp_path / "z")
        assert "without it nobody can read" in elsewhere("restore", str(file)).line
        assert not raw(restored, "users")
        assert elsewhere("restore", str(file), "--keys", str(moved)).status == 0
        assert raw(restored, "preferences") == raw(documents, "preferences") != set()

        whole = tmp_path / "w"
        assert command("backup", "--with-keys", str(whole)).status == 0
        assert not (tmp_path / "w.keys").exists()


@contextmanager
def interrupted(at: int) -> Iterator[None]:
    """Let Ctrl-C come at some step of a backup or restore, as the real signal."""
    left = at

    @contextmanager
    def shown(doing: str, **_: Any) -> Iterator[Callable[[int], None]]:
        def interrupt(_: int) -> None:
            nonlocal left
            left -= doing != "Checking"
            if not left:
                signal.raise_signal(signal.SIGINT)

        yield interrupt

    # Whoever runs the tests in the background ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatvault.cli.backup.shown_progress", shown)
        yield
    signal.signal(signal.SIGINT, before)


class TestInterrupted:
    def test_backup_leaves_nothing(
        self, mongodb_databases: Any, command: Command, tmp_path: Path
    ) -> None:
        there = set(tmp_path.iterdir())
        with interrupted(at=3):
            done = command("backup", str(tmp_path / "y"))
        assert (done.status, done.line) == (130, "chatvault: interrupted")
        assert set(tmp_path.iterdir()) == there

    def test_backup_on_a_full_disk_leaves_nothing(
        self, mongodb_databases: Any, command: Command, tmp_path: Path
    ) -> None:
        there = set(tmp_path.iterdir())
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            done = command("backup", str(tmp_path / "y"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert done.status == 1
        assert f"chatvault: {tmp_path / 'y'} cannot be written: File too large" in done.line
        assert set(tmp_path.iterdir()) == there

    def test_backup_replaces_no_file(self, file: Path, command: Command) -> None:
        before = file.read_bytes()
        done = command("backup", str(file))
        assert (done.status, file.read_bytes()) == (1, before)
        assert "is there already" in done.line

    @pytest.mark.parametrize("at", [1, 30])
    def test_restore_can_be_repeated_and_until_then_all_else_is_refused(
        self, file: Path, elsewhere: Command, restored: Documents, documents: Documents, at: int
    ) -> None:
        with interrupted(at):
            assert elsewhere("restore", str(file)).status == 130
        assert raw(restored, "restores")
        refused = elsewhere("users", "list")
        assert refused.status == 1
        assert refused.line == (
            f"chatvault: The database {EMPTY} is half restored: run `chatvault restore` with "
            "the backup's file again, to its end"
        )
        assert elsewhere("restore", str(file)).status == 0
        assert raw(restored, "segments") == raw(documents, "segments")
        assert raw(restored, "conversations") == raw(documents, "conversations")
        assert elsewhere("audit", "verify").status == 0

    async def test_restore_keeps_the_service_from_starting(
        self, settings: Settings, mongodb_url: str, clean_database: Documents
    ) -> None:
        clean_database["restores"].insert_one({"_id": "unfinished"})
        try:
            server = TestServer(create_app(settings, mongodb_url=mongodb_url))
            with pytest.raises(HalfRestored):
                await server.start_server()
        finally:
            clean_database["restores"].delete_many({})
