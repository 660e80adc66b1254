"""`kill -9` in the middle of an erasure: another process does the rest."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.conversations.models import Conversation
from chatvault.erasure import service
from chatvault.fields import now
from chatvault.settings import Settings
from conftest import HttpClient
from support.erasing import make_due, put_everywhere, the_erasure, traces

pytestmark = [pytest.mark.xdist_group("crashes"), pytest.mark.long]

COUNT = 3000
# A process that does nothing but carry out erasures, without waiting.
PROCESS = """
import asyncio, sys
from functools import partial
from pathlib import Path
from chatvault.audit.keys import load_key_ring
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.store import MessageStore
from chatvault.conversations.trash.authored import remove_authored
from chatvault.documents import HOLDS, bind_documents
from chatvault.erasure import worker
from chatvault.importing.uploads.files import UploadFiles
from chatvault.mongodb.database import connect
from chatvault.settings import Settings

worker.WAIT_SECONDS = worker.LOOK_SECONDS = worker.POLL = 0.01

async def main() -> None:
    url, name, data_dir = sys.argv[1:]
    settings = Settings(data_dir=Path(data_dir), mongodb_database=name)
    client = connect(url, settings)
    await bind_documents(client, name, load_key_ring(settings))
    deps = worker.EraserDeps(
        client=client,
        database=name,
        holds=HOLDS,
        files=UploadFiles(Path(data_dir) / "uploads"),
        remove_authored=partial(remove_authored, CommitQueue(MessageStore())),
        forget=lambda _: None,
        due=asyncio.Event(),
    )
    print("began", flush=True)
    await worker.Eraser(deps).run()

asyncio.run(main())
"""


def run(mongodb_url: str, settings: Settings, seconds: float) -> None:
    """Run a process for some seconds, and kill it."""
    command = [sys.executable, "-c", PROCESS, mongodb_url, settings.mongodb_database]
    with subprocess.Popen(
        [*command, str(settings.data_dir)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


async def test_a_killed_process_is_followed_by_another(
    alice: HttpClient, database: Any, mongodb_url: str, settings: Settings
) -> None:
    user = await User.find_one({"username": "alice"})
    assert user is not None
    access = Access.of(Actor(door=Door.CLI, user_id=user.id))
    await put_everywhere(database, user.id)
    await database.conversations.insert_many(
        Conversation.begin(access, title=str(number), tags=[], metadata={}, at=now())
        for number in range(COUNT)
    )
    await service.begin(Actor(door=Door.CLI), username="alice")
    removed = [0]
    # MongoDB keeps the transaction of a killed process for ten seconds.
    for seconds in (random.random() / 2, random.random(), 12, 20, 20, 20, 20):
        await make_due(database)
        await asyncio.to_thread(run, mongodb_url, settings, seconds)
        erasure = await the_erasure(database)
        removed.append(sum(erasure["counts"].values()))
        if erasure["state"] == "pending":
            break

    erasure = await the_erasure(database)
    assert erasure["state"] == "pending"
    assert len(removed) > 2
    assert erasure["counts"]["conversations"] == COUNT + 1
    assert not await traces(database, user.id)
    receipts = {"action": "user.erase_receipt"}
    assert await database.audit_logs.count_documents(receipts) == 1
