"""Chat completions as OpenAI has them, recorded in a conversation where the client names one."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.models import Raw
from chatvault.errors import InvalidInput
from chatvault.fields import now
from chatvault.replies.beginning import Start, beginning
from chatvault.replies.errors import failure_of
from chatvault.replies.models import Kind
from chatvault.replies.planning import Turn, read
from chatvault.replies.provider import Ask, Models, Piece
from chatvault.replies.schemas import CompletionIn
from chatvault.replies.service import Desk
from chatvault.usage.models import Usage


async def complete(
    actor: Actor,
    desk: Desk,
    models: Models,
    *,
    wanted: CompletionIn,
    conversation_id: ObjectId | None,
) -> AsyncGenerator[Piece, None]:
    """The answer's pieces; by the last of them, all is stored.

    Raises:
        ModelNotConfigured: there is no model.
        InvalidInput: there is nothing to answer.
        Throttled: too many in this minute.
        NotFound: the actor has no such conversation.
        ConversationArchived, TokenLimitReached: it takes no more.
    """
    provider, found = desk.offer.find(None)
    if not wanted.messages:
        raise InvalidInput("messages: there is none to answer")
    await desk.rate.admit(str(actor.owner_id))
    limit = min(wanted.limit or desk.max_tokens, desk.max_tokens)
    if conversation_id is not None:
        return await _recorded(actor, desk, wanted, conversation_id, limit)
    ask = Ask(
        provider=provider,
        model=found.model,
        messages=wanted.messages,
        temperature=wanted.temperature,
        max_tokens=limit,
        options=wanted.options(),
    )
    await desk.recorder.record(audit.entry(actor, Action.CHAT_COMPLETE))
    return _plain(actor, desk, models, ask)


async def _plain(actor: Actor, desk: Desk, models: Models, ask: Ask) -> AsyncGenerator[Piece, None]:
    tokens: tuple[int, int] | None = None
    said = ""
    try:
        async for piece in models.stream(ask):
            tokens = piece.usage or tokens
            said += piece.text
            yield piece
    finally:
        if tokens is not None or said:
            counted = await asyncio.to_thread(_count, desk, ask, said) if tokens is None else tokens
            await Usage.get_pymongo_collection().insert_one(
                Usage.of(
                    actor,
                    conversation_id=None,
                    agent_id=None,
                    purpose=Kind.COMPLETION.value,
                    provider=ask.provider,
                    model=ask.model,
                    tokens=counted,
                    at=now(),
                    counted_here=tokens is None,
                )
            )


def _count(desk: Desk, ask: Ask, said: str) -> tuple[int, int]:
    asked = desk.tokenizer.count_context(ask.messages, ask.model)
    return asked, desk.tokenizer.count(said, ask.model)


async def _recorded(
    actor: Actor, desk: Desk, wanted: CompletionIn, conversation_id: ObjectId, limit: int
) -> AsyncGenerator[Piece, None]:
    """Record the exchange; its tokens are set aside before the model is asked."""
    conversation = await read(actor, conversation_id)
    agent = await agents.find(actor, conversation.get("agent_id"))
    provider, found = desk.offer.find(None)
    tokens = await asyncio.to_thread(
        desk.tokenizer.count_context, wanted.messages, found.model, wanted.tools
    )
    content = _text_of(wanted.messages[-1])
    desk.check_content(content, "messages")
    start = Start(
        kind=Kind.COMPLETION,
        action=Action.CHAT_COMPLETE,
        conversation_id=conversation_id,
        agent=agent,
        provider=provider,
        model=found.model,
        temperature=wanted.temperature,
        turn=Turn(content=content, user_message_id=str(uuid.uuid4())),
        messages=wanted.messages,
        tokens=tokens,
        max_tokens=limit,
        options=wanted.options(),
    )
    begun = await desk.lane.submit(beginning(actor, start, None))
    run = begun.run
    assert run is not None  # noqa: S101  # there was no key to recall it by
    run.pieces = asyncio.Queue()
    run.live.publish(list(begun.events))
    desk.runner.launch(run)

    async def pieces() -> AsyncGenerator[Piece, None]:
        assert run.pieces is not None  # noqa: S101  # set above
        while (piece := await run.pieces.get()) is not None:
            yield piece
        last = run.live.events[-1]
        if last.type == "error":
            failure = failure_of(last.data["code"])
            failure.detail = last.data["detail"]
            failure.retry_after = last.data.get("retry_after")
            raise failure

    return pieces()


def _text_of(message: dict[str, Any]) -> str | None:
    """What the user wrote, if the message is the user's; pictures are not recorded."""
    if message.get("role") != "user":
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    listed = content if isinstance(content, list) else []
    parts: list[Raw] = [part for part in listed if isinstance(part, dict)]
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
