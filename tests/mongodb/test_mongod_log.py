"""What mongod logs, and what of it reaches the disk."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from chatvault.mongodb import mongod_log
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.mongodb.mongod_log import MongodLog, harmless
from support.running import until

WORDS = "planted words"
# Fails on each document, and so in the middle of its plan.
FAILING = {"y": {"$ne": WORDS}, "$expr": {"$divide": ["$n", 0]}}


def parsed(**entry: object) -> dict[str, Any]:
    kept = harmless(json.dumps({"s": "I", "msg": "Something"} | entry).encode())
    assert kept is not None
    return kept


class TestHarmless:
    @pytest.mark.parametrize("component", ["COMMAND", "QUERY", "WRITE", "TXN", "REPL", "NEW", "-"])
    def test_keeps_only_numbers_and_names_of_commands(self, component: str) -> None:
        attributes = {
            "ns": "chatvault.conversations",
            "durationMillis": 120,
            "cursorExhausted": True,
            "command": {"find": "conversations", "filter": {"title": WORDS}},
            "planSummary": WORDS,
            "error": {"code": 11000, "codeName": "DuplicateKey", "errmsg": WORDS},
        }
        assert parsed(c=component, attr=attributes)["attr"] == {
            "ns": "chatvault.conversations",
            "durationMillis": 120,
            "cursorExhausted": True,
            "error": {"code": 11000, "codeName": "DuplicateKey"},
            "withheld": ["command", "planSummary"],
        }

    def test_keeps_messages_about_mongod_itself(self) -> None:
        attributes = {"error": 28, "message": {"msg": "x.wt: No space left on device"}, "all": [1]}
        assert parsed(c="WTRECOV", attr=attributes)["attr"] == attributes

    @pytest.mark.parametrize("component", ["STORAGE", "CONTROL"])
    def test_drops_quoted_documents(self, component: str) -> None:
        attributes = {
            "message": f"ScopedDebugInfo: {{command: {WORDS}}}",
            "error": {
                "code": 11000,
                "codeName": "DuplicateKey",
                "errmsg": f'E11000 duplicate key error dup key: {{ k: "{WORDS}" }}',
                "keyValue": {"k": WORDS},
            },
            "more": [f"{{{WORDS}}}"],
        }
        assert parsed(c=component, attr=attributes)["attr"] == {
            "message": "withheld",
            "error": {"code": 11000, "codeName": "DuplicateKey", "errmsg": "withheld"},
            "more": ["withheld"],
        }

    def test_drops_unknown_fields_and_lines(self) -> None:
        assert "truncated" not in parsed(c="QUERY", truncated={"command": {WORDS: {}}})
        for line in (b"", WORDS.encode(), b'"text"', b'{"msg": 1}'):
            assert harmless(line) is None


class TestMongodLog:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[MongodLog]:
        log = MongodLog(tmp_path / "mongod.log")
        yield log
        log.close()

    def test_accepts_lines_in_pieces_and_an_unterminated_last_line(self, log: MongodLog) -> None:
        end = log.open_pipe()
        whole = b'{"s":"I","msg":"one"}\n{"s":"F","msg":"two","attr":{}}\n{"s":"E","msg":"three"}'
        for cut in (whole[:10], whole[10:30], whole[30:]):
            os.write(end, cut)
            log.wait(5)
        os.close(end)
        log.close()
        lines = log.path.read_text().splitlines()
        assert [json.loads(line)["msg"] for line in lines] == ["one", "two", "three"]
        assert log.path.stat().st_mode & 0o777 == 0o600
        assert log.first_error == "two {}"

    def test_rotates_a_large_log(self, log: MongodLog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mongod_log, "_LOG_BYTES", 10)
        end = log.open_pipe()
        for line in (b'{"msg":"long enough"}\n', b'{"msg":"next"}\n'):
            os.write(end, line)
            log.wait(5)
        os.close(end)
        assert "next" in log.path.read_text()
        assert "long enough" in log.path.with_suffix(".log.1").read_text()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A mongod whose log is looked into."""
    data_dir = tmp_path_factory.mktemp("logged")
    with embedded_mongodb(data_dir) as url:
        yield data_dir, url


def test_no_message_text_reaches_the_log_of_a_real_mongod(own: tuple[Path, str]) -> None:
    data_dir, url = own
    with MongoClient[dict[str, Any]](url) as client:
        database = client["test"]
        things = database["things"]
        things.insert_many([{"n": number, "x": WORDS, "k": WORDS} for number in range(3)])
        slow = FAILING | {"$where": "sleep(200) || true"}
        failing: list[Callable[[], object]] = [
            lambda: list(things.find(FAILING)),
            lambda: list(things.aggregate([{"$match": FAILING}])),
            lambda: things.find_one_and_update(FAILING, {"$set": {"z": WORDS}}),
            lambda: things.update_one(FAILING, {"$set": {"z": WORDS}}),
            lambda: things.distinct("x", FAILING),
            lambda: list(things.find({"y": {"$ne": WORDS}} | slow).max_time_ms(50)),
            lambda: things.create_index("k", unique=True),
        ]
        for each in failing:
            with pytest.raises(PyMongoError):
                each()
        # As if it were slow, which takes long to be in a test.
        database.command("profile", 0, slowms=0)
        list(things.find({"y": WORDS}))
        things.update_one({"n": 1}, {"$set": {"z": WORDS}})
        database.command("profile", 0, slowms=2**31 - 1)

    def logged() -> str:
        return "".join(path.read_text() for path in data_dir.glob("*.log*"))

    until(lambda: "Profiler settings changed" in logged().rpartition("Slow query")[2])
    assert "Plan executor error during find command" in logged()
    assert WORDS not in logged()
