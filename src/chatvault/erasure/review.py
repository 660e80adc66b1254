"""Count what is stored of a user, and how large it is."""

from dataclasses import dataclass
from typing import Any

from beanie import Document

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.agents.models import Agent
from chatvault.api_keys.models import ApiKey
from chatvault.attachments.models import Attachment, AttachmentFile
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.models import Conversation
from chatvault.exporting.jobs.models import ExportJob
from chatvault.fields import Raw
from chatvault.importing.models import ImportJob, Upload
from chatvault.search.models import SearchIndex


@dataclass(frozen=True, slots=True)
class Stored:
    """The number of things of one kind, and their size in bytes; None where it is not known."""

    count: int
    bytes: int | None = None


async def count_mine(actor: Actor, recorder: Recorder) -> dict[str, Stored]:
    """Return what is stored of the actor, by kind; itself audited."""
    access = Access.of(actor)
    conversations = await _sum(
        Conversation, Conversation.owned_by(access), bytes="$message_bytes", more="$total_messages"
    )
    files = AttachmentFile.owned_by(access, mac={"$type": "string"})
    exports = ExportJob.owned_by(actor, state={"$ne": "removed"})
    of_exports: Any = {"$sum": "$parts.bytes"}
    found = {
        "conversations": Stored(conversations["count"]),
        "messages": Stored(conversations["more"], conversations["bytes"]),
        "attachments": Stored(
            await _count(Attachment, Attachment.owned_by(access)),
            (await _sum(AttachmentFile, files, bytes="$size"))["bytes"],
        ),
        "agents": Stored(await _count(Agent, Agent.owned_by(actor))),
        "api_keys": Stored(await _count(ApiKey, ApiKey.owned_by(actor))),
        "imports": Stored(await _count(ImportJob, ImportJob.owned_by(access))),
        "uploads": await _stored(Upload, Upload.owned_by(access), bytes="$length"),
        "exports": await _stored(ExportJob, exports, bytes=of_exports),
        "search_index": await _stored(SearchIndex, SearchIndex.owned_by(access), bytes="$bytes"),
    }
    await recorder.record(audit.entry(actor, Action.USER_COUNT_DATA, actor.owner_id))
    return found


async def _count(document: type[Document], mine: Raw) -> int:
    return await document.get_pymongo_collection().count_documents(mine)


async def _stored(document: type[Document], mine: Raw, *, bytes: Any) -> Stored:  # noqa: A002  # the field's name
    sums = await _sum(document, mine, bytes=bytes)
    return Stored(sums["count"], sums["bytes"])


async def _sum(
    document: type[Document],
    mine: Raw,
    *,
    bytes: Any,  # noqa: A002  # the field's name
    more: Any = 0,
) -> dict[str, int]:
    sums = {"count": {"$sum": 1}, "bytes": {"$sum": bytes}, "more": {"$sum": more}}
    pipeline: list[Raw] = [{"$match": mine}, {"$group": {"_id": None, **sums}}]
    found = await (await document.get_pymongo_collection().aggregate(pipeline)).to_list()
    return {name: int(found[0][name]) if found else 0 for name in sums}
