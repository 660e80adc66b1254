"""Importing 100,000 messages in ChatGPT's form, and exporting them in each format.

Run by `python benchmarks/exchange.py`; it takes some minutes. `--conversations N` makes it smaller.
Each row is one command, by itself, beside a MongoDB that runs already.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo import MongoClient

from chatvault.exporting.pdf.typesetter import is_installed
from chatvault.exporting.schemas import ConversationFormat
from chatvault.mongodb.embedded import embedded_mongodb

DATABASE = "chatvault"
MESSAGES = 100
# PDF takes seconds where the others take milliseconds.
PDF_CONVERSATIONS = 20
MB = 1e6
TEXT = (
    "Sure. Here is how it works: first the list is read, then each *item* is looked at.\n\n"
    "- one thing\n- another **thing**\n\n```python\nfor item in items:\n    print(item)\n```\n\n"
    "東京 and Zürich, too. "
)


def conversations(count: int, length: int = 1) -> Iterator[dict[str, Any]]:
    """Conversations as ChatGPT exports them; `length` makes their messages longer."""
    for number in range(count):
        at = 1_700_000_000 + 1000.0 * number
        mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None}}
        parent = "root"
        for place in range(MESSAGES):
            role, repeats = ("assistant", 3) if place % 2 else ("user", 1)
            key = f"{number:012d}-{place:04d}"
            text = f"Message {place} of {number}. {TEXT * repeats * length}"
            mapping[key] = {
                "id": key,
                "parent": parent,
                "children": [],
                "message": {
                    "id": key,
                    "author": {"role": role, "name": None, "metadata": {}},
                    "create_time": at + place,
                    "content": {"content_type": "text", "parts": [text]},
                    "metadata": {"model_slug": "gpt-4o"} if place % 2 else {},
                },
            }
            mapping[parent]["children"] = [key]
            parent = key
        yield {
            "id": f"conversation-{number:06d}",
            "title": f"Conversation {number}",
            "create_time": at,
            "update_time": at + MESSAGES,
            "mapping": mapping,
            "current_node": parent,
        }


def write_export(path: Path, count: int, length: int = 1) -> None:
    """Write a file as it is in ChatGPT's ZIP."""
    with path.open("w") as file:
        for number, each in enumerate(conversations(count, length)):
            file.write(("[" if number == 0 else ",") + json.dumps(each, ensure_ascii=False))
        file.write("]")


def run(*words: str, environment: dict[str, str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, its processor time, and the most memory in MB."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "chatvault", *words]
    # Not waited for by subprocess, as that does not tell what the process has used.
    process = subprocess.Popen(  # noqa: S603  # our own
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    told = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, told
    unit = 1024 if sys.platform != "darwin" else 1
    taken = time.perf_counter() - began
    return taken, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / MB


def show(name: str, size: int, messages: int, measured: tuple[float, float, float]) -> None:
    """Print a row."""
    seconds, processor, memory = measured
    print(
        f"| {name} | {size / MB:.1f} | {seconds:.1f} | {size / MB / seconds:.1f} | "
        f"{messages / seconds:,.0f} | {processor:.1f} | {memory:.0f} |",
        flush=True,
    )


def some_ids(url: str, count: int) -> Sequence[str]:
    """Return the ids of some conversations."""
    with MongoClient[dict[str, Any]](url) as client:
        found = client[DATABASE]["conversations"].find({}, {"_id": True}).limit(count)
        ids: list[ObjectId] = [each["_id"] for each in found]
    return [str(each) for each in ids]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conversations", type=int, default=1000)
    count = parser.parse_args().conversations
    with tempfile.TemporaryDirectory() as name, embedded_mongodb(Path(name) / "data") as url:
        folder = Path(name)
        data_dir = str(folder / "data")
        environment = {**os.environ, "CHATVAULT_DATA_DIR": data_dir}
        mail = ("--email", "bench@example.com", "--generate")
        run("users", "create", "bench", *mail, environment=environment)
        source = folder / "conversations.json"
        write_export(source, count)
        print("| what | MB | s | MB/s | messages/s | processor s | peak MB |")
        print("|---|---|---|---|---|---|---|")
        done = run("import", str(source), "--username", "bench", environment=environment)
        show("import, ChatGPT", source.stat().st_size, count * MESSAGES, done)
        for shape in ConversationFormat:
            chosen: list[str] = []
            exported = count
            if shape is ConversationFormat.PDF:
                if not is_installed():
                    continue
                exported = min(count, PDF_CONVERSATIONS)
                chosen = [word for each in some_ids(url, exported) for word in ("--id", each)]
            to = folder / shape.value
            words = ("export", "--username", "bench", "--format", shape.value, "--output", str(to))
            done = run(*words, *chosen, environment=environment)
            show(f"export, {shape.value}", to.stat().st_size, exported * MESSAGES, done)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"\nload of the machine at the end: {load}")


if __name__ == "__main__":
    main()
