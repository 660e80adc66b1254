"""Export everything about one user as a ZIP."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

from bson import ObjectId

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.accounts.schemas import UserOut
from chatvault.accounts.sessions import Session
from chatvault.actor import Actor
from chatvault.agents.models import Agent
from chatvault.agents.schemas import agent_wire
from chatvault.api_keys.models import ApiKey
from chatvault.api_keys.schemas import ApiKeyOut
from chatvault.attachments.files import FileStore
from chatvault.commands.models import ApprovalRule
from chatvault.conversations.categories import Categories
from chatvault.conversations.reading.wire import message_wire
from chatvault.conversations.shapes import StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.templates import Template
from chatvault.conversations.trash.queries import list_trashed
from chatvault.encoding import to_json
from chatvault.exporting.archive import Archive
from chatvault.exporting.attached import (
    FOLDER,
    Carrier,
    find_attached,
    find_attachments,
    pack_attachments,
)
from chatvault.exporting.files import MANIFEST, file_chunks, manifest
from chatvault.exporting.formats.json_lines import JsonLines
from chatvault.exporting.records import About, Counts
from chatvault.exporting.shared_data import list_grants, list_links, walk_notes
from chatvault.exporting.turns import ExportDeps
from chatvault.fields import Raw
from chatvault.importing.jobs.schemas import job_wire
from chatvault.importing.models import ImportJob
from chatvault.preferences.models import Preferences
from chatvault.review import service as review
from chatvault.review.schemas import entry_wire
from chatvault.sessions.schemas import SessionOut
from chatvault.templates.schemas import template_wire
from chatvault.usage.service import list_days

# Descriptions of the files of the archive.
FILES = {
    "account.json": "the account, without its password",
    "preferences.json": "what was set in the preferences",
    "agents.json": "agents that the user made",
    "categories.json": "categories of conversations",
    "templates.json": "templates of conversations",
    "approval-rules.json": "tools that run without the user being asked each time",
    "sessions.json": "browsers and programs that are signed in, without their secrets",
    "api-keys.json": "API keys, without their secrets",
    "links.json": "links to conversations, without their tokens",
    "grants.json": "with whom conversations are shared, and which are shared with the user",
    "usage.json": "tokens, messages and bytes of each day",
    "conversations.ndjson": "all conversations, one a line",
    "notes.ndjson": "notes beside the user's messages, and theirs beside others', one a line",
    "imports.ndjson": "imports in the background with their reports, one a line",
    "revisions.ndjson": "messages as they were before they were edited, one a line",
    "audit-entries.ndjson": "what the user did, and what was done to the account, one a line",
    MANIFEST: "this list, and counts; the last file of the archive",
}
ATTACHED = "files beside conversations, whose lines name them"
# The number of lines that are written together.
BATCH = 100


async def user_chunks(
    actor: Actor, deps: ExportDeps, ids: Sequence[ObjectId], about: About, counts: Counts
) -> AsyncGenerator[bytes]:
    """Yield everything about the actor as a ZIP, including the conversations with these ids."""
    access, store, files = Access.of(actor), deps.store, deps.files
    carrier = None if files is None else Carrier(files, is_inline=False)
    with Archive() as archive:
        for name, value in (await _small_files(actor)).items():
            archive.add(name, to_json(value) + b"\n", about.exported_at)
        parts = {
            "conversations.ndjson": file_chunks(
                access, store, ids, JsonLines(), about, counts, carrier=carrier
            ),
            "notes.ndjson": walk_notes(actor),
            "imports.ndjson": _imports(access),
            "revisions.ndjson": _revisions(access, store),
            "audit-entries.ndjson": _entries(actor, about),
        }
        for name, chunks in parts.items():
            archive.begin(name, about.exported_at, is_large=True)
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    await asyncio.to_thread(archive.write, chunk)
                    yield archive.take()
            archive.end()
        if files is not None:
            attached = _attachments(access, files, archive, ids, counts)
            async with contextlib.aclosing(attached):
                async for chunk in attached:
                    yield chunk
        told = FILES | ({f"{FOLDER}/": ATTACHED} if counts.attachments else {})
        archive.add(MANIFEST, manifest(about, counts, files=told), about.exported_at)
        yield archive.close()


async def _small_files(actor: Actor) -> dict[str, object]:
    access, user = Access.of(actor), await User.get(actor.owner_id)
    set_here = await Preferences.find_of(actor)
    agents = await Agent.get_pymongo_collection().find(Agent.owned_by(actor)).to_list()
    rules = await ApprovalRule.list_raw(actor)
    sessions = await Session.find(Session.owned_by(actor)).sort("created_at").to_list()
    keys = await ApiKey.find(ApiKey.owned_by(actor)).sort("created_at").to_list()
    return {
        "account.json": user and UserOut.model_validate(user),
        "preferences.json": set_here.preferences if set_here else {},
        "agents.json": [agent_wire(each, actor.owner_id) for each in agents],
        "categories.json": await Categories.list_raw(access),
        "templates.json": [template_wire(each) for each in await Template.list_raw(access)],
        "approval-rules.json": [
            {"tool": each["tool"], "created_at": each["created_at"]} for each in rules
        ],
        "sessions.json": [
            SessionOut.model_validate(each).model_copy(
                update={"current": each.id == actor.session_id}
            )
            for each in sessions
        ],
        "api-keys.json": [ApiKeyOut.model_validate(each) for each in keys],
        "links.json": await list_links(access),
        "grants.json": await list_grants(actor),
        "usage.json": await list_days(actor, {"$gte": ""}),
    }


async def _attachments(
    access: Access,
    files: FileStore,
    archive: Archive,
    ids: Sequence[ObjectId],
    counts: Counts,
) -> AsyncGenerator[bytes]:
    """Write the files of the conversations to the archive."""
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        for each in sorted(await find_attached(access, batch)):
            attachments = await find_attachments(access, each, beside=True)
            packed = pack_attachments(access, files, archive, attachments, counts)
            async with contextlib.aclosing(packed):
                async for chunk in packed:
                    yield chunk


async def _imports(access: Access) -> AsyncGenerator[bytes]:
    """Yield the imports in the background, the oldest first."""
    found = ImportJob.get_pymongo_collection().find(ImportJob.owned_by(access)).sort("_id", 1)
    async for each in found:
        yield to_json(job_wire(each)) + b"\n"


async def _revisions(access: Access, store: MessageStore) -> AsyncGenerator[bytes]:
    lines: list[bytes] = []
    # Nothing of a conversation in the trash is shown.
    hidden = {*await list_trashed(access)}
    async with contextlib.aclosing(store.walk_revisions(access)) as revisions:
        async for each in revisions:
            if each["conversation_id"] in hidden:
                continue
            raw: Raw = {"conversation_id": each["conversation_id"], "version": each["version"]}
            raw["replaced_at"] = each["replaced_at"]
            raw["message"] = message_wire(StoredMessage(each["seq"], each["message"]))
            lines.append(to_json(raw) + b"\n")
            if len(lines) == BATCH:
                yield b"".join(lines)
                lines.clear()
    yield b"".join(lines)


async def _entries(actor: Actor, about: About) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(review.walk_mine(actor, until=about.exported_at)) as pages:
        async for page in pages:
            yield b"".join(to_json(entry_wire(each)) + b"\n" for each in page)
