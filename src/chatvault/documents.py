"""The list of all document classes, and binding them to a database."""

from beanie import Document, init_beanie

from chatvault.accounts.models import User
from chatvault.accounts.sessions import Session
from chatvault.administration.models import OneTimeToken
from chatvault.agents.models import Agent
from chatvault.api_keys.models import ApiKey
from chatvault.attachments.models import Attachment, AttachmentFile, AttachmentPart
from chatvault.audit.keys import KeyRing
from chatvault.audit.mark import HighWater
from chatvault.audit.models import AuditEntry
from chatvault.audit.pending_refusals import PendingRefusals
from chatvault.batches.models import BatchChanges, BatchIds, BatchJob
from chatvault.commands.models import ApprovalRule, Command, ToolGrant
from chatvault.content import Content
from chatvault.conversations.authors import Authorship
from chatvault.conversations.categories import Categories
from chatvault.conversations.grants import Grant
from chatvault.conversations.group_grants import GroupGrant
from chatvault.conversations.holds import Hold
from chatvault.conversations.links import Link, LinkPart
from chatvault.conversations.models import Conversation, drop_replaced_indexes
from chatvault.conversations.notes import Note
from chatvault.conversations.paths import PathRuns
from chatvault.conversations.segments import PendingDeletion, Revision, Segment
from chatvault.conversations.tag_counts import TagCount
from chatvault.conversations.templates import Template
from chatvault.conversations.tombstones import Tombstone
from chatvault.erasure.models import Erasure
from chatvault.exporting.jobs.models import ExportChunk, ExportJob
from chatvault.groups.models import ClaimTask, Group, GroupTask, Membership
from chatvault.idempotency import IdempotencyRecord
from chatvault.importing.models import ImportJob, Upload
from chatvault.mongodb import rates, restoring
from chatvault.mongodb.database import Client
from chatvault.mongodb.leases import Lease
from chatvault.preferences.models import Preferences
from chatvault.quotas.models import Quota
from chatvault.replies.models import Job, Reply, ReplyEvents
from chatvault.retention.models import RetentionPolicy
from chatvault.sealing.blocks import Block
from chatvault.sealing.opening import open_log
from chatvault.sealing.verifications import Verification
from chatvault.search.models import SearchFile, SearchIndex, SearchPending
from chatvault.usage.models import StoredTotal, Usage, UsageDay
from chatvault.vault.collections import Vault, bind_sealed
from chatvault.vault.models import UserKey
from chatvault.vault.service import check_masters

DOCUMENTS: list[type[Document]] = [
    User,
    Session,
    ApiKey,
    OneTimeToken,
    Agent,
    Conversation,
    Categories,
    TagCount,
    Template,
    Segment,
    PathRuns,
    Revision,
    PendingDeletion,
    Attachment,
    AttachmentFile,
    AttachmentPart,
    Tombstone,
    Link,
    LinkPart,
    Hold,
    Grant,
    GroupGrant,
    Group,
    Membership,
    GroupTask,
    ClaimTask,
    Authorship,
    Note,
    RetentionPolicy,
    Upload,
    ImportJob,
    IdempotencyRecord,
    Preferences,
    Reply,
    ReplyEvents,
    Job,
    Usage,
    UsageDay,
    StoredTotal,
    Quota,
    Command,
    ApprovalRule,
    ToolGrant,
    ExportJob,
    ExportChunk,
    BatchJob,
    BatchIds,
    BatchChanges,
    SearchIndex,
    SearchFile,
    SearchPending,
    Erasure,
    AuditEntry,
    Block,
    Verification,
    PendingRefusals,
    Lease,
    UserKey,
]
# What each collection holds of people's words, and what is done with them.
HOLDS: dict[str, Content] = {
    rates.COLLECTION: rates.HOLDS,
    restoring.COLLECTION: restoring.HOLDS,
    **{vars(document)["Settings"].name: vars(document)["holds"] for document in DOCUMENTS},
}


async def bind_documents(
    client: Client,
    name: str,
    keys: KeyRing,
    high_water: HighWater | None = None,
    vault: Vault | None = None,
    *,
    is_restoring: bool = False,
) -> None:
    """Bind the documents to the database and create the indexes that are missing.

    Args:
        client: the connection.
        name: of the database.
        keys: what audit entries are stamped with.
        high_water: knows the newest block of the audit log; the default keeps it in memory only.
        vault: seals the words that documents declare, and opens them.
        is_restoring: whether a restore that has not ended asks for this.

    Raises:
        HalfRestored: a restore into the database has not ended.
        KeysMissing: the audit log was sealed with others.
        MasterKeysMissing: content was sealed with others.
        PyMongoError: the database cannot be reached.
    """
    if not is_restoring:
        await restoring.refuse_half_restored(client[name])
    AuditEntry.bind_keys(keys, high_water)
    await init_beanie(database=client[name], document_models=DOCUMENTS)
    await check_masters(None if vault is None else vault.masters)
    if vault is not None:
        bind_sealed(DOCUMENTS, vault)
    await drop_replaced_indexes()
    await open_log(keys, AuditEntry.high_water())
    Lease.bind_turns()
