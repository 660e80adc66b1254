"""Titles and summaries, made in the background and retried after a crash."""

import asyncio
import contextlib

import structlog
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.agents.models import ModelCatalog
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import DEFAULT_TITLE, Conversation
from chatvault.conversations.reading.pages import read_after, read_consistently
from chatvault.conversations.schemas import MAX_TITLE
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy, Conflict, NotFound
from chatvault.fields import Raw, now
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    answer_repeat,
    key_lock,
    was_carried_out,
)
from chatvault.replies.jobs import Work
from chatvault.replies.model_calls import ModelRequest
from chatvault.replies.models import JobKind
from chatvault.replies.provider import ModelClients
from chatvault.tokens import Tokenizer
from chatvault.usage.models import Usage

TOO_SHORT = 3
SUMMARY_TRIES = 3
PAGE = 60  # messages that one summary covers
PART = 2000  # characters of each message
TITLE_WORDS = 80  # characters
MAX_TOKENS = 2048  # the reasoning of some models counts too
TITLE_PROMPT = (
    "Give this conversation a title of at most six words, in its own language. "
    "Answer with the title only."
)
SUMMARY_PROMPT = (
    "Please provide a concise 2-3 sentence summary of this conversation, in its own language. "
    "Where a summary of its earlier part is given, take it in. Answer with the summary only."
)
log = structlog.get_logger()


class Outdated(Conflict):
    """Messages were edited or removed while their summary was made; make it again."""


class Background:
    """Makes titles and summaries.

    Args:
        commits: the queue that stores the changes.
        catalog: the configured models.
        models: the clients of the models.
        tokenizer: counts tokens where a provider does not.
    """

    def __init__(
        self,
        commits: CommitQueue,
        catalog: ModelCatalog,
        models: ModelClients,
        tokenizer: Tokenizer,
    ) -> None:
        self._commits = commits
        self._catalog = catalog
        self._models = models
        self._tokenizer = tokenizer

    def works(self) -> dict[JobKind, Work]:
        """Return the function for each kind of job."""
        return {
            JobKind.TITLE: lambda actor, job: self.entitle(
                actor, conversation_id=job["conversation_id"]
            ),
            JobKind.SUMMARY: lambda actor, job: self.summarize(
                actor, conversation_id=job["conversation_id"]
            ),
        }

    async def entitle(self, actor: Actor, *, conversation_id: ObjectId) -> None:
        """Give a conversation a title, if it still has the default one.

        Raises:
            NotFound: the actor has no such conversation.
            ModelFailed: the model failed.
        """
        access = await resolve(actor, conversation_id, Need.WRITE)
        conversation = await self._commits.store.get_conversation(access, conversation_id)
        if conversation["title"] != DEFAULT_TITLE:
            return
        text = _transcript(await _messages(access, self._commits.store, conversation_id, -1, 4))
        said = await self._ask(actor, conversation, JobKind.TITLE, TITLE_PROMPT, text)
        title = " ".join(said.split()).strip("\"'“”«»*#. ")[:TITLE_WORDS].strip()[:MAX_TITLE]

        def decide(working: WorkingCopy) -> None:
            if title and working.fields["title"] == DEFAULT_TITLE:
                working.set(now(), title=title)
                working.outbox.record(
                    audit.entry(actor, Action.CONVERSATION_TITLE, conversation_id)
                )

        await self._commits.submit(
            Change(
                actor=actor,
                access=access,
                action=Action.CONVERSATION_TITLE,
                where=("_id", conversation_id),
                decide=decide,
            )
        )

    async def summarize(
        self,
        actor: Actor,
        *,
        conversation_id: ObjectId,
        idempotency_key: IdempotencyKey | None = None,
    ) -> str | None:
        """Summarise all messages, earlier ones by the last summary; None if there are too few.

        Raises:
            NotFound: the actor has no such conversation, or, in a repeat, no summary any more.
            ModelNotConfigured: there is no model.
            ModelFailed: the model failed.
            KeyReused: the key came with another request.
            Busy: messages were edited or removed during each attempt.
        """
        access = await resolve(actor, conversation_id, Need.MANAGE)
        async with key_lock(actor, idempotency_key):
            if idempotency_key is not None and await was_carried_out(actor, idempotency_key):
                known = _idempotent(access, self._commits.store, conversation_id, idempotency_key)
                return await answer_repeat(actor, Action.CONVERSATION_SUMMARIZE, known)
            for _ in range(SUMMARY_TRIES):
                with contextlib.suppress(Outdated):
                    return await self._summarize(actor, access, conversation_id, idempotency_key)
            raise Busy(retry_after=1)

    async def _summarize(
        self,
        actor: Actor,
        access: Access,
        conversation_id: ObjectId,
        idempotency_key: IdempotencyKey | None,
    ) -> str | None:
        conversation = await self._commits.store.get_conversation(access, conversation_id)
        if conversation["total_messages"] < TOO_SHORT:
            seq = conversation.get("summary_seq", 0)
            return await self._keep(actor, access, conversation, None, seq, idempotency_key)
        summary: str | None = conversation.get("summary")
        told = max(conversation.get("summary_seq", 0), conversation["first_seq"])
        while page := await _messages(access, self._commits.store, conversation_id, told - 1, PAGE):
            before = f"Summary of the earlier part: {summary}\n\n" if summary else ""
            text = before + _transcript(page)
            summary = (
                await self._ask(actor, conversation, JobKind.SUMMARY, SUMMARY_PROMPT, text)
            ).strip()
            told = page[-1].seq + 1
        return await self._keep(actor, access, conversation, summary, told, idempotency_key)

    async def _keep(  # the actor, the access, the conversation and the summary
        self,
        actor: Actor,
        access: Access,
        before: ConversationDoc,
        summary: str | None,
        told: int,
        idempotency_key: IdempotencyKey | None,
    ) -> str | None:
        conversation_id = before["_id"]

        def decide(working: WorkingCopy) -> str | None:
            fields = working.fields
            if summary is not None and _summarized_state(fields) != _summarized_state(before):
                raise Outdated
            if summary is not None and summary != fields.get("summary"):
                working.set(now(), summary=summary, summary_seq=told)
            working.outbox.record(
                audit.entry(actor, Action.CONVERSATION_SUMMARIZE, conversation_id)
            )
            return summary

        return await self._commits.submit(
            Change(
                actor=actor,
                access=access,
                action=Action.CONVERSATION_SUMMARIZE,
                where=("_id", conversation_id),
                decide=decide,
                idempotent=idempotency_key
                and _idempotent(access, self._commits.store, conversation_id, idempotency_key),
            )
        )

    async def _ask(
        self, actor: Actor, conversation: ConversationDoc, kind: JobKind, prompt: str, text: str
    ) -> str:
        agent = await agents.find(actor, conversation.get("agent_id"))
        provider, found = self._catalog.find(agent["provider"])
        model = agent["model"] or found.model
        messages = [{"role": "system", "content": prompt}, {"role": "user", "content": text}]
        said = ""
        tokens: tuple[int, int] | None = None
        ask = ModelRequest(
            provider=provider,
            model=model,
            messages=messages,
            temperature=None if agent["temperature"] is None else 0.3,
            max_tokens=MAX_TOKENS,
        )
        async for chunk in self._models.stream(ask):
            said += chunk.text
            tokens = chunk.usage or tokens
        count = self._tokenizer.count
        counted = tokens
        if counted is None:
            counted = await asyncio.to_thread(
                lambda: (self._tokenizer.count_context(messages, model), count(said, model))
            )
        await Usage.get_pymongo_collection().insert_one(
            Usage.of(
                actor,
                conversation_id=conversation["_id"],
                agent_id=conversation.get("agent_id"),
                purpose=kind.value,
                provider=provider,
                model=model,
                tokens=counted,
                at=now(),
                counted_here=tokens is None,
            )
        )
        self._models.tokens.count(kind.value, counted)
        return said


def _summarized_state(fields: ConversationDoc) -> tuple[ObjectId, int, int]:
    """Return values that change if a summary in progress may become outdated."""
    return fields["generation"], fields.get("edits", 0), fields.get("summary_seq", 0)


def _idempotent(
    access: Access, store: MessageStore, conversation_id: ObjectId, idempotency_key: IdempotencyKey
) -> Idempotent[str | None]:
    async def replay(result: Raw, session: AsyncClientSession) -> str | None:
        found = await Conversation.get_for_repeat(access, conversation_id, session)
        await store.open_conversations([found])
        summary: str | None = found.get("summary")
        if result["made"] and summary is None:
            raise NotFound("The summary was made, and has been removed since")
        return summary if result["made"] else None

    return Idempotent(
        idempotency_key,
        to_record=lambda made: {"conversation_id": conversation_id, "made": made is not None},
        replay=replay,
    )


async def _messages(
    access: Access, store: MessageStore, conversation_id: ObjectId, after: int, limit: int
) -> list[StoredMessage]:
    async def read_page(conversation: ConversationDoc) -> list[StoredMessage]:
        return (await read_after(access, store, conversation, after, limit)).messages

    return await read_consistently(access, store, conversation_id, read_page)


def _transcript(messages: list[StoredMessage]) -> str:
    return "\n\n".join(
        f"{each.message['role'].upper()}: {each.message['content'][:PART]}"
        for each in messages
        if not each.message.get("hidden") and each.message["content"]
    )
