"""Back up and restore some hundred megabytes: time, processor time, memory and size.

    python benchmarks/backup.py [MEGABYTES]

The documents are put into an embedded MongoDB directly; backup, check and restore are commands
of their own. mongod's processor time is that of its process.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it carries no annotations
from bson import ObjectId
from pymongo import MongoClient

from chatvault.fields import now
from chatvault.mongodb.embedded import embedded_mongodb

MB = 1024 * 1024
WORDS = [f"{random.Random(n).getrandbits(24):x}"[: 2 + n % 7] for n in range(20_000)]  # noqa: S311  # words of no secret
CHATVAULT = Path(sys.executable).with_name("chatvault")


def text(length: int) -> str:
    """Return words of about this length."""
    return " ".join(random.choices(WORDS, k=length // 6))  # noqa: S311  # the same


def segment(start: int, generation: ObjectId) -> dict[str, Any]:
    """Return a segment of 64 messages."""
    messages = [
        {"id": f"{ObjectId()}", "role": "user", "timestamp": now(), "content": text(900)}
        for _ in range(64)
    ]
    return {
        "user_id": ObjectId(), "generation": generation, "start": start, "length": 64,
        "living": 64, "bytes": 64 * 1000, "messages": messages,
    }  # fmt: skip


def fill(data_dir: Path, megabytes: int) -> None:
    """Store segments of that size, and a service's first documents."""
    with embedded_mongodb(data_dir) as url, MongoClient[dict[str, Any]](url) as client:
        segments, size = client["chatvault"]["segments"], 0
        while size < megabytes * MB:
            batch = [segment(each, ObjectId()) for each in range(100)]
            segments.insert_many(batch)
            size += 100 * 64 * 1000


def run(name: str, data_dir: Path, *arguments: str) -> None:
    """Run a command beside a MongoDB that runs already, and print a line of the table."""
    with embedded_mongodb(data_dir):
        [mongod] = [
            each
            for each in psutil.process_iter(["cmdline"])
            if any(str(data_dir) in part for part in each.info["cmdline"] or ())
            and "mongod" in each.name()
        ]
        before, began = mongod.cpu_times(), time.monotonic()
        environment = os.environ | {"CHATVAULT_DATA_DIR": str(data_dir)}
        child = subprocess.Popen([CHATVAULT, *arguments], env=environment)  # noqa: S603  # ours
        _, status, used = os.wait4(child.pid, 0)
        seconds, after = time.monotonic() - began, mongod.cpu_times()
        assert status == 0
    client = used.ru_utime + used.ru_stime
    server = sum(after[:2]) - sum(before[:2])
    print(f"| {name} | {seconds:.1f} | {client:.1f} | {server:.1f} | {used.ru_maxrss // 1024} |")


def main() -> None:
    """Print the table."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:  # noqa: S108  # of a disk
        place = Path(name)
        source, target, file = place / "source", place / "target", place / "x.backup"
        fill(source, megabytes)
        print(
            "| command | s | processor s | mongod's | peak MB |", "|---|---|---|---|---|", sep="\n"
        )
        run("backup", source, "backup", str(file))
        print(f"{file.stat().st_size / MB:.0f} MB")
        run("restore --check", source, "restore", "--check", str(file))
        target.mkdir(mode=0o700)
        (target / "audit.keys").write_text((source / "audit.keys").read_text())
        (target / "audit.keys").chmod(0o600)
        run("restore", target, "restore", str(file))


main()
