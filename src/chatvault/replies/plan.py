"""What a reply answers, with which agent, and what may be sent for it."""

import uuid
from dataclasses import dataclass

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.commands.proposals import catalog
from chatvault.conversations.models import Conversation, MessageRole, Raw, Status
from chatvault.conversations.reading import Placed, find_messages, read_before
from chatvault.conversations.segments import is_living
from chatvault.errors import ConversationArchived, MessageIdTaken, NotFound
from chatvault.replies import context
from chatvault.replies.context import LATEST, MIN_OUTPUT, OUTPUT_PART, Context, Wanted
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.errors import (
    NothingToAnswer,
    ReplyInProgress,
    TokenLimitReached,
)
from chatvault.replies.models import Mode
from chatvault.replies.schemas import ReplyIn

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is to be answered.

    Attributes:
        content: of a new message, to be stored; None where it is stored already.
        user_message_id: the message that is answered.
        target_id: the answer that the new one replaces or stands beside.
        upto: the model sees only messages before this place.
        least: so many of the newest messages belong together.
    """

    content: str | None
    user_message_id: str
    mode: Mode = Mode.APPEND
    target_id: str | None = None
    upto: int = LATEST
    least: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlan:
    """All that is known before a reply begins.

    Attributes:
        place: generation and end of the conversation that the context was made of.
        max_output: tokens of the answer, if none go elsewhere meanwhile.
        tools: that the model is offered, in OpenAI's shape.
    """

    conversation: Raw
    agent: Raw
    provider: str
    model: str
    turn: Turn
    context: Context
    place: tuple[ObjectId, int]
    max_output: int
    tools: list[Raw]


async def read(actor: Actor, conversation_id: ObjectId) -> Raw:
    """The conversation.

    Raises:
        NotFound: the actor has no such one.
    """
    conversation = await Conversation.find_raw(actor, conversation_id)
    if conversation is None:
        raise NotFound("Conversation not found")
    return conversation


async def plan(actor: Actor, deps: ReplyDeps, *, conversation: Raw, wanted: ReplyIn) -> TurnPlan:
    """Choose agent, model and context.

    Raises:
        ConversationArchived, ReplyInProgress: it cannot be answered now.
        ModelNotConfigured, AgentNotFound: there is nobody to answer.
        NothingToAnswer, MessageIdTaken: what shall be answered does not fit.
        TokenLimitReached: too few tokens are left.
        Moved: the conversation changed meanwhile.
    """
    if conversation["status"] == Status.ARCHIVED:
        raise ConversationArchived
    if conversation.get("active_reply_id"):
        raise ReplyInProgress
    agent = await agents.find(actor, wanted.agent_id or conversation.get("agent_id"))
    deps.catalog.find(agent["provider"])
    turn = await _turn(actor, conversation, wanted)
    return await prepare(actor, deps, conversation=conversation, agent=agent, turn=turn)


async def prepare(
    actor: Actor, deps: ReplyDeps, *, conversation: Raw, agent: Raw, turn: Turn
) -> TurnPlan:
    """Choose model, tools and context.

    Raises:
        ModelNotConfigured: there is nobody to answer.
        TokenLimitReached: too few tokens are left.
        Moved: the conversation changed meanwhile.
    """
    provider, found = deps.catalog.find(agent["provider"])
    model = agent["model"] or found.model
    left = tokens_left(conversation, agent)
    output = min(deps.max_tokens, max(left // OUTPUT_PART, MIN_OUTPUT))
    tools = await offered(actor, deps, conversation, agent)
    wanted = Wanted(
        content=turn.content,
        upto=turn.upto,
        budget=left - output,
        tools=tools,
        least=turn.least,
    )
    try:
        made = await context.build(actor, deps.tokenizer, conversation, agent, model, wanted)
    except TokenLimitReached:
        raise refusal(conversation, agent) from None
    return TurnPlan(
        conversation=conversation,
        agent=agent,
        provider=provider,
        model=model,
        turn=turn,
        context=made,
        place=place_of(conversation),
        max_output=min(deps.max_tokens, left - made.tokens),
        tools=tools,
    )


async def offered(actor: Actor, deps: ReplyDeps, conversation: Raw, agent: Raw) -> list[Raw]:
    """The tools that the model is offered, in OpenAI's shape."""
    if not conversation.get("mcp_enabled"):
        return []
    return await catalog(actor, deps.servers, allowed=agent["allowed_tools"])


def place_of(fields: Raw) -> tuple[ObjectId, int]:
    """What changes whenever messages come or are replaced."""
    return fields["generation"], fields["next_seq"]


def tokens_left(fields: Raw, agent: Raw) -> int:
    """What the conversation may still use, less what is set aside."""
    spent = fields.get("total_tokens_used", 0) + fields.get("reserved_tokens", 0)
    return int(agent["max_conversation_tokens"] - spent)


def refusal(fields: Raw, agent: Raw) -> TokenLimitReached:
    """The refusal that says what to do."""
    limit, used = agent["max_conversation_tokens"], fields.get("total_tokens_used", 0)
    held = fields.get("reserved_tokens", 0)
    now_used = f" and {held} are set aside for replies under way" if held else ""
    return TokenLimitReached(
        f"This conversation has used {used} of its {limit} tokens{now_used}; the next answer does "
        "not fit. Begin a new conversation, send less, or raise max_conversation_tokens of its "
        "agent."
    )


async def _turn(actor: Actor, conversation: Raw, wanted: ReplyIn) -> Turn:
    if wanted.content is None:
        assert wanted.regenerate is not None  # noqa: S101  # the schema asks for one of both
        return await _again(actor, conversation, wanted.regenerate)
    if wanted.id is None:
        return Turn(content=wanted.content, user_message_id=str(uuid.uuid4()))
    known = await find_messages(actor, conversation, [wanted.id])
    if not known:
        return Turn(content=wanted.content, user_message_id=wanted.id)
    [(seq, message)] = known
    is_same = is_living(message) and message["role"] == MessageRole.USER
    newest = await _newest(actor, conversation, 1)
    if not is_same or message["content"] != wanted.content or newest[-1][0] != seq:
        raise MessageIdTaken
    # It was stored, and its reply failed: this is the second try.
    return Turn(content=None, user_message_id=wanted.id)


async def _again(actor: Actor, conversation: Raw, mode: Mode) -> Turn:
    """The last message that somebody wrote, and the answer to it that another shall join."""
    page = await _newest(actor, conversation, PAGE)
    if not page:
        raise NothingToAnswer
    seq, last = page[-1]
    if last["role"] == MessageRole.USER:
        return Turn(content=None, user_message_id=last["id"])
    asked = next((each for _, each in reversed(page) if each["role"] == MessageRole.USER), None)
    if last["role"] != MessageRole.ASSISTANT or asked is None:
        raise NothingToAnswer
    # Answers that stand beside each other all answer the message before the first of them.
    beside = last.get("alternative_to")
    for place, message in reversed(page[:-1]):
        if message["id"] != beside:
            break
        seq, beside = place, message.get("alternative_to")
    return Turn(
        content=None, user_message_id=asked["id"], mode=mode, target_id=last["id"], upto=seq
    )


async def _newest(actor: Actor, conversation: Raw, limit: int) -> list[Placed]:
    return (await read_before(actor, conversation, LATEST, limit)).messages
