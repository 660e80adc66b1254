"""`chatvault audit verify`, `checkpoint`, `prove`, `check-proof`, `rotate-key`, and the service."""

import asyncio
import json
from pathlib import Path
from typing import Any

import bson
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from chatvault.app import create_app
from chatvault.audit.keys import FILE_NAME, load_key_ring
from chatvault.audit.mark import HighWater
from chatvault.documents import bind_documents
from chatvault.mongodb.database import connect
from chatvault.sealing.sealer import Sealer
from chatvault.settings import Settings
from conftest import ClientFactory, HttpClient
from support.commanding import DATABASE, Command, Documents
from support.factories import begin, settings_for
from support.sealing import until


@pytest.fixture(autouse=True)
def sealer(own_application: None) -> None:
    """Let the service's own sealer run."""


@pytest.fixture
def seal(mongodb_url: str, tmp_path: Path) -> Any:
    """Does what a service does that runs for a moment."""

    async def sealing() -> None:
        settings = settings_for(tmp_path / "data")
        client = connect(mongodb_url, settings)
        await bind_documents(client, DATABASE, load_key_ring(settings))
        await Sealer().follow(until_idle=True)
        await client.close()

    return lambda: asyncio.run(sealing())


@pytest.fixture
def sealed(command: Command, seal: Any) -> Command:
    for name in ("alice", "bob"):
        command("users", "create", name, "--email", f"{name}@example.com", "--generate")
        seal()
    return command


class TestVerify:
    def test_accepts_an_empty_log(self, command: Command) -> None:
        done = command("audit", "verify")
        assert (done.status, done.out) == (
            0, "verified: nothing sealed yet, 0 entries not sealed yet\n"
        )  # fmt: skip

    def test_prints_the_result_and_leaves_an_audit_entry(
        self, sealed: Command, documents: Documents
    ) -> None:
        done = sealed("audit", "verify")
        assert done.status == 0, done.err
        assert done.out.startswith("verified: 2 entries in 2 blocks (0 to 1, sealed until 20")
        assert "0 removed as announced; 0 not sealed yet" in done.out
        entry = documents["audit_logs"].find_one({"action": "audit.verify"})
        assert entry is not None
        assert entry["details"] == {"from_block": 0, "blocks": 2, "entries": 2}

    def test_can_begin_at_a_later_block(self, sealed: Command) -> None:
        assert "1 entries in 1 blocks (1 to 1" in sealed("audit", "verify", "--from-block", "1").out
        since = ("--since", "2099-01-01T00:00:00Z")
        assert "nothing sealed since 2099" in sealed("audit", "verify", *since).out
        assert sealed("audit", "verify", "--since", "yesterday").status == 2

    def test_exits_with_1_and_names_the_difference(
        self, sealed: Command, documents: Documents
    ) -> None:
        first = documents["audit_logs"].find_one(sort=[("_id", 1)])
        assert first is not None
        documents["audit_logs"].delete_one({"_id": first["_id"]})

        found = sealed("audit", "verify")

        assert found.status == 1
        finding = f"entry {first['_id']} of block 0 is missing"
        assert f"chatvault: {finding}" in found.err
        entry = documents["audit_logs"].find_one({"action": "audit.verify"})
        assert entry is not None
        assert (entry["outcome"], entry["code"], entry["details"]) == (
            "failed", "not_verified", {"finding": finding},
        )  # fmt: skip

    def test_compares_the_log_with_a_checkpoint(
        self, sealed: Command, documents: Documents, tmp_path: Path
    ) -> None:
        kept = tmp_path / "checkpoint.json"
        kept.write_text(sealed("audit", "checkpoint").out)
        assert sealed("audit", "verify", "--checkpoint", str(kept)).status == 0
        documents["audit_blocks"].delete_one({"_id": 1})
        found = sealed("audit", "verify")
        assert found.status == 1
        assert "was written after a block that is gone: the log was cut" in found.err
        found = sealed("audit", "verify", "--checkpoint", str(kept))
        assert found.status == 1
        assert "block 1 is missing: the checkpoint is of block 1" in found.err

    def test_refuses_to_begin_beyond_the_log(self, sealed: Command, documents: Documents) -> None:
        refused = sealed("audit", "verify", "--from-block", "90")
        assert refused.status == 2
        assert "from_block: there is no block 90 yet; the newest is 1" in refused.err
        assert documents["audit_logs"].find_one({"action": "audit.verify"}) is None

    def test_refuses_an_invalid_checkpoint(self, sealed: Command, tmp_path: Path) -> None:
        kept = tmp_path / "checkpoint.json"
        kept.write_text("{}")
        refused = sealed("audit", "verify", "--checkpoint", str(kept))
        assert (refused.status, refused.line) == (2, f"chatvault: {kept} holds no checkpoint")


class TestGaps:
    @pytest.fixture
    def seal(self, mongodb_url: str, tmp_path: Path) -> Any:
        """Does what a service does that runs for a moment, and notes its mark."""

        async def sealing() -> None:
            settings = Settings(data_dir=tmp_path / "data", mongodb_database=DATABASE)
            client = connect(mongodb_url, settings)
            keys = load_key_ring(settings)
            await bind_documents(client, DATABASE, keys, HighWater.of(settings, keys))
            await Sealer().follow(until_idle=True)
            await client.close()

        return lambda: asyncio.run(sealing())

    def test_fail_until_they_are_acknowledged(
        self, sealed: Command, documents: Documents, seal: Any, tmp_path: Path
    ) -> None:
        assert (tmp_path / "data" / f"audit.{DATABASE}.mark").exists()
        assert sealed("audit", "verify").out.count("\n") == 1
        seal()
        documents["audit_blocks"].delete_many({})
        found = sealed("audit", "verify")
        assert found.status == 1
        assert "block 0 is missing: the log was sealed up to block 2, with 3 entries" in found.err
        early = sealed("audit", "acknowledge")
        assert (early.status, early.out) == (1, "")
        assert "start the service first, which tells of it in the log" in early.err

        seal()
        assert sealed("audit", "verify").status == 1
        seal()
        done = sealed("audit", "acknowledge")
        assert (done.status, done.out.split(",")[0]) == (0, "acknowledged: 1 gaps"), done.err
        verified = sealed("audit", "verify")
        assert verified.status == 0, verified.err
        assert "; gaps acknowledged up to block " in verified.out
        entry = documents["audit_logs"].find_one({"action": "audit.acknowledge"})
        assert entry is not None
        assert entry["details"].keys() == {"block", "hash", "gaps"}

    def test_cannot_be_acknowledged_without_a_block(self, command: Command) -> None:
        assert "Nothing is sealed yet" in command("audit", "acknowledge").err

    def test_are_not_checked_without_a_mark_which_is_reported(
        self, sealed: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CHATVAULT_AUDIT_MARK_DIR", str(tmp_path / "elsewhere"))
        first, said = sealed("audit", "verify").out.splitlines()
        assert first.startswith("verified: ")
        assert said.startswith("no mark outside MongoDB was compared (nothing is noted yet; ")
        assert str(tmp_path / "elsewhere") in said


class TestProofs:
    def test_are_checked_without_a_database(
        self,
        sealed: Command,
        documents: Documents,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        entry = documents["audit_logs"].find_one()
        assert entry is not None
        proof, raw, kept = (tmp_path / name for name in ("proof", "entry", "checkpoint"))
        kept.write_text(sealed("audit", "checkpoint").out)
        made = sealed("audit", "prove", str(entry["_id"]), "--entry-out", str(raw))
        assert made.status == 0, made.err
        proof.write_text(made.out)
        monkeypatch.setenv("CHATVAULT_MONGODB_URL", "mongodb://127.0.0.1:1/")

        done = sealed(
            "audit", "check-proof", str(proof),
            "--entry-file", str(raw), "--checkpoint", str(kept),
        )  # fmt: skip

        assert done.status == 0, done.err
        said, shown = done.out.splitlines()
        assert said.startswith(f"proved: entry {entry['_id']} is number 1 of 1 in block 0")
        assert json.loads(shown)["action"] == "user.create"
        assert "which nothing pins" in sealed("audit", "check-proof", str(proof)).out
        raw.write_bytes(bson.encode(entry | {"action": "user.delete"}))
        refused = sealed("audit", "check-proof", str(proof), "--entry-file", str(raw))
        assert (refused.status, refused.line) == (
            1, "chatvault: the entry is not the one that is proved",
        )  # fmt: skip

    def test_require_a_sealed_entry(self, sealed: Command, documents: Documents) -> None:
        assert sealed("audit", "prove", "nonsense").status == 2
        assert "There is no entry" in sealed("audit", "prove", "0" * 24).err
        sealed("audit", "checkpoint")
        new = documents["audit_logs"].find_one({"action": "audit.checkpoint"})
        assert new is not None
        assert "not sealed yet" in sealed("audit", "prove", str(new["_id"])).err

    def test_require_a_sealed_block(self, command: Command) -> None:
        assert "Nothing is sealed yet" in command("audit", "checkpoint").err


class TestRotateKey:
    def test_creates_a_new_key_and_keeps_the_old(
        self, sealed: Command, tmp_path: Path, documents: Documents, seal: Any
    ) -> None:
        path = tmp_path / "data" / FILE_NAME
        old = path.read_text().split()

        done = sealed("audit", "rotate-key")

        assert done.status == 0, done.err
        assert path.read_text().split()[1:] == old
        recorded = documents["audit_logs"].find_one({"action": "audit.rotate_key"})
        assert recorded is not None
        assert recorded["details"]["key_id"] in done.out
        seal()
        assert "3 entries in 3 blocks" in sealed("audit", "verify").out
        newest = documents["audit_logs"].find_one({"action": "audit.verify"})
        assert newest is not None
        assert newest["key_id"] == recorded["details"]["key_id"]

    def test_prints_a_key_if_a_setting_holds_the_keys(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHATVAULT_AUDIT_KEYS", "ab" * 32)
        printed = command("audit", "rotate-key").out
        assert len(bytes.fromhex(printed.split()[0])) == 32


class TestService:
    async def test_notes_its_mark_from_the_start(
        self, http: HttpClient, settings: Settings, database: AsyncDatabase[dict[str, Any]]
    ) -> None:
        note = settings.data_dir / f"audit.{settings.mongodb_database}.mark"

        async def is_noted() -> bool:
            return note.exists()

        await until(is_noted)

    async def test_reports_at_the_start_if_it_cannot_note_its_mark(
        self,
        settings: Settings,
        mongodb_url: str,
        aiohttp_client: ClientFactory,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        file = tmp_path / "file"
        file.touch()
        given = settings.model_copy(update={"audit_mark_dir": file, "mongodb_database": "tests-ro"})
        told = ""

        async def is_told() -> bool:
            nonlocal told
            told += capsys.readouterr().out
            return "audit_mark_not_kept" in told

        await aiohttp_client(create_app(given, mongodb_url=mongodb_url))
        await until(is_told)

    async def test_seals_within_seconds(
        self, alice: HttpClient, database: AsyncDatabase[dict[str, Any]]
    ) -> None:
        await begin(alice)
        count = await database.audit_logs.count_documents({})

        async def all_sealed() -> bool:
            blocks = await database.audit_blocks.find().to_list()
            return sum(len(block["entry_ids"]) for block in blocks) == count

        await until(all_sealed, 8)
