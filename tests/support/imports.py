"""Files to import, read as a test needs them."""

import io
import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.routes import COMMITS
from chatvault.fields import now as current
from chatvault.http.requests import RECORDER, SECRET_KEY
from chatvault.importing.conversations import ImportFile
from chatvault.importing.deps import ImportDeps
from chatvault.importing.files.containers import source_of_bytes
from chatvault.importing.format import Group
from chatvault.importing.neutral import NeutralConversation, NeutralMessage
from chatvault.importing.reading import ReadOptions, read_files

PATH = "/imports"


def deps_of(app: web.Application, commits: CommitQueue | None = None) -> ImportDeps:
    """Return what the service imports with, or the same with another queue of changes."""
    return ImportDeps(commits or app[COMMITS], app[RECORDER], app[SECRET_KEY])


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def read(
    data: bytes,
    *,
    name: str = "my.json",
    salvage: bool = False,
    now: datetime | None = None,
    format: str | None = "localstorage",  # noqa: A002  # as the command calls it
    group: Group | None = None,
) -> ImportFile:
    """Read one file: of localStorage, of another format, or of one to detect."""
    return read_files(
        ReadOptions(
            sources=[source_of_bytes(data, name=name)],
            now=now or current(),
            format=format,
            salvage=salvage,
            group=group,
        )
    )


def read_all(value: Any, **options: Any) -> tuple[NeutralConversation, ...]:
    """Read the conversations of a value as JSON, or of bytes; the format is detected."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read(data, format=None, **{"now": NOW} | options).conversations


def read_one(value: Any, **options: Any) -> NeutralConversation:
    """Read the one conversation of a value."""
    [found] = read_all(value, **options)
    return found


async def bring_in(client: Any, data: bytes, query: str = "") -> dict[str, Any]:
    """Import a file over HTTP; return the report."""
    answer = await client.post(PATH + query, data=io.BytesIO(data))
    assert answer.status == 200, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


async def stored(client: Any) -> list[dict[str, Any]]:
    """Return all conversations with all messages, newest first."""
    listed = await (await client.get("/conversations?limit=200")).json()
    return [await (await client.get(f"/conversations/{each['id']}")).json() for each in listed]


def by_text(conversation: NeutralConversation) -> dict[str, NeutralMessage]:
    """Return the messages by what they say."""
    return {message.content: message for message in conversation.messages}


def parts_of(conversation: NeutralConversation, kind: str) -> list[dict[str, Any]]:
    """Return all parts of one kind."""
    return [
        dict(part)
        for message in conversation.messages
        for part in message.parts
        if part["type"] == kind
    ]


def path_of(conversation: NeutralConversation) -> list[str]:
    """Return what is said on the branch that is shown."""
    return [message.content for message in conversation.active_path()]
