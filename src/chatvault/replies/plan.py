"""Planning a reply: the message to answer, the agent, and the context to send."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson
from bson import ObjectId

from chatvault.access import Access, Guest
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.agents.models import AgentNotFound
from chatvault.commands.proposals import catalog
from chatvault.conversations.models import MessageRole, Status
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import read_before
from chatvault.conversations.reading.paths import leaf_of
from chatvault.conversations.schemas import stored_agent_id
from chatvault.conversations.segments import is_deleted
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import ConversationArchived, MessageIdTaken
from chatvault.fields import Raw
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.errors import (
    NothingToAnswer,
    ReplyInProgress,
    TokenLimitReached,
)
from chatvault.replies.model_messages import Wire, pair_up
from chatvault.replies.models import Mode
from chatvault.replies.schemas import ReplyIn
from chatvault.replies.visible import LATEST, PAGE, is_hidden, read_last_turn, read_visible
from chatvault.tokens import PER_REPLY, Tokenizer

SUMMARY_INTRO = "Summary of the earlier part of this conversation:"
# A shorter answer is useless; a quarter of the remaining tokens is kept for it.
MIN_OUTPUT = 16
OUTPUT_PART = 4

# The generation, the end of its messages, and the last one of the branch that is shown.
Place = tuple[ObjectId, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The context that is sent to the model, and what was left out.

    Attributes:
        messages: in OpenAI's shape.
        tokens: of the whole request, as counted here.
        message_ids: the ids of the stored messages in it.
        left_out: how many of the conversation's messages are not in it.
        summary_used: whether a summary replaces those.
        oldest_seq: the place of the oldest message in it.
    """

    messages: list[Wire]
    tokens: int
    message_ids: list[str]
    left_out: int
    summary_used: bool
    oldest_seq: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The inputs of a context.

    Attributes:
        content: the new message; None to answer the newest of the stored ones again.
        upto: only messages before this place.
        budget: the maximum number of tokens; None for no limit.
        tools: in OpenAI's shape; they are sent beside the messages, and their tokens count.
        least: how many of the newest stored messages belong together: the question, and the calls
            and results since.
    """

    content: str | None = None
    upto: int = LATEST
    budget: int | None = None
    tools: Sequence[Wire] = ()
    least: int = 1


async def build_context(
    access: Access,
    deps: ReplyDeps,
    conversation: ConversationDoc,
    agent: Raw,
    model: str,
    wanted: Wanted,
) -> Context:
    """Choose the newest messages that fit the agent's history limit and the token budget.

    Raises:
        TokenLimitReached: not even the newest message fits.
        ReadConflict: the conversation changed since its document was read.
    """
    history = await _history(access, deps.store, conversation, agent, wanted)
    prompt = conversation.get("system_prompt") or agent["system_prompt"]
    summary = conversation.get("summary") if agent["auto_generate_summary"] else None
    if not agent["conversation_memory_enabled"]:
        summary = None
    newest = [] if wanted.content is None else [{"role": "user", "content": wanted.content}]
    page = _Page(conversation, history, newest, wanted)
    # Counting takes milliseconds a page of text, so it is done in a thread.
    return await asyncio.to_thread(_fit, Counter(deps.tokenizer, model), page, prompt, summary)


@dataclass(frozen=True, slots=True)
class _Page:
    """The messages and settings to choose a context from."""

    conversation: ConversationDoc
    history: list[StoredMessage]
    newest: list[Wire]
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts tokens as one model does."""

    tokenizer: Tokenizer
    model: str

    def __call__(self, messages: list[Wire]) -> int:
        """Return how many tokens the messages take."""
        return sum(self.tokenizer.count_message(message, self.model) for message in messages)

    def tools(self, tools: Sequence[Wire]) -> int:
        """Return about how many tokens the descriptions of tools take."""
        return self.tokenizer.count(orjson.dumps(tools).decode(), self.model) if tools else 0


async def _history(
    access: Access, store: MessageStore, conversation: ConversationDoc, agent: Raw, wanted: Wanted
) -> list[StoredMessage]:
    """Return the stored messages that the model may get, oldest first."""
    limit = agent["history_limit"] if agent["conversation_memory_enabled"] else 1
    limit = max(limit, wanted.least)
    if wanted.content is not None:
        limit -= 1
    if limit <= 0:
        return []
    read = await read_visible(access, store, conversation, wanted.upto, limit)
    # An answer that has an alternative is not sent.
    passed = {each.message.get("alternative_to") for each in read}
    return [each for each in read if each.message["id"] not in passed]


def _fit(count: Counter, page: _Page, prompt: str, summary: str | None) -> Context:
    plain = _choose(count, page, _system(prompt, None))
    oldest = page.conversation["next_seq"] if plain.oldest_seq is None else plain.oldest_seq
    if summary is None or oldest <= page.conversation["first_seq"]:
        return plain
    return replace(_choose(count, page, _system(prompt, summary)), summary_used=True)


def _choose(count: Counter, page: _Page, system: list[Wire]) -> Context:
    """Return the newest messages that fit beside the system prompt, without gaps.

    Raises:
        TokenLimitReached: not even the newest fits.
    """
    wanted = page.wanted
    least = 0 if page.newest else wanted.least
    used = PER_REPLY + count(system) + count(page.newest) + count.tools(wanted.tools)
    chosen: list[tuple[StoredMessage, list[Wire]]] = []
    paired = pair_up([stored.message for stored in page.history])
    for stored, wires in zip(reversed(page.history), reversed(paired), strict=True):
        if not wires:
            continue
        needed = count(wires)
        is_over = wanted.budget is not None and used + needed > wanted.budget
        if is_over and len(chosen) >= least:
            break
        used += needed
        chosen.insert(0, (stored, wires))
    if wanted.budget is not None and used > wanted.budget:
        raise TokenLimitReached
    return Context(
        messages=[*system, *(wire for _, wires in chosen for wire in wires), *page.newest],
        tokens=used,
        message_ids=[stored.message["id"] for stored, _ in chosen],
        left_out=page.conversation["total_messages"] - len(chosen),
        summary_used=False,
        oldest_seq=chosen[0][0].seq if chosen else None,
    )


def _system(prompt: str, summary: str | None) -> list[Wire]:
    text = f"{prompt}\n\n{SUMMARY_INTRO}\n{summary}" if summary else prompt
    return [{"role": "system", "content": text.strip()}] if text.strip() else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The message to answer.

    Attributes:
        content: the content of a new message; None if it is stored already.
        user_message_id: the id of the message to answer.
        is_named: whether a message may have this id already; false for an id that was made here.
        target_id: the answer that the new one replaces or is an alternative to.
        parent_id: the message that an alternative follows.
        upto: the model sees only messages before this place.
        least: how many of the newest messages belong together.
    """

    content: str | None
    user_message_id: str
    is_named: bool = True
    mode: Mode = Mode.APPEND
    target_id: str | None = None
    parent_id: str | None = None
    upto: int = LATEST
    least: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlan:
    """Everything that is decided before a reply begins.

    Attributes:
        place: generation and end of the conversation when the context was built.
        max_output: the most tokens of the answer, if the conversation uses none meanwhile.
        tools: the tools that the model is offered, in OpenAI's shape.
    """

    conversation: ConversationDoc
    agent: Raw
    provider: str
    model: str
    turn: Turn
    context: Context
    place: Place
    max_output: int
    tools: list[Raw]


async def plan(
    actor: Actor, access: Access, deps: ReplyDeps, *, conversation: ConversationDoc, wanted: ReplyIn
) -> TurnPlan:
    """Choose agent, model and context.

    Raises:
        ConversationArchived, ReplyInProgress: it cannot be answered now.
        ModelNotConfigured, AgentNotFound: there is no model or agent.
        NothingToAnswer, MessageIdTaken: the request does not match the conversation's messages.
        TokenLimitReached: too few tokens are left.
        ReadConflict: the conversation changed meanwhile.
    """
    if conversation["status"] == Status.ARCHIVED:
        raise ConversationArchived
    if conversation.get("active_reply_id"):
        raise ReplyInProgress
    payer = _check_guest(actor, conversation, wanted) if isinstance(actor, Guest) else actor
    agent = await agents.find(payer, wanted.agent_id or conversation.get("agent_id"))
    deps.catalog.find(agent["provider"])
    turn = await _turn(access, deps.store, conversation, wanted)
    return await prepare(actor, access, deps, conversation=conversation, agent=agent, turn=turn)


def _check_guest(guest: Guest, conversation: ConversationDoc, wanted: ReplyIn) -> Actor:
    """Return at whose expense a guest asks: only the conversation's own agent.

    Raises:
        AgentNotFound: they ask for another one.
        ReplyInProgress: commands wait for the owner's decision, which asking would reject.
    """
    if wanted.agent_id is not None and stored_agent_id(wanted.agent_id) != conversation.get(
        "agent_id"
    ):
        raise AgentNotFound
    if conversation.get("waiting_reply"):
        raise ReplyInProgress
    return guest.payer


async def prepare(
    actor: Actor,
    access: Access,
    deps: ReplyDeps,
    *,
    conversation: ConversationDoc,
    agent: Raw,
    turn: Turn,
) -> TurnPlan:
    """Choose model, tools and context.

    Raises:
        ModelNotConfigured: there is no model.
        TokenLimitReached: too few tokens are left.
        ReadConflict: the conversation changed meanwhile.
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
        turn_plan = await build_context(access, deps, conversation, agent, model, wanted)
    except TokenLimitReached:
        raise refusal(conversation, agent) from None
    return TurnPlan(
        conversation=conversation,
        agent=agent,
        provider=provider,
        model=model,
        turn=turn,
        context=turn_plan,
        place=place_of(conversation),
        max_output=min(deps.max_tokens, left - turn_plan.tokens),
        tools=tools,
    )


async def offered(
    actor: Actor, deps: ReplyDeps, conversation: ConversationDoc, agent: Raw
) -> list[Raw]:
    """Return the tools that the model is offered, in OpenAI's shape; a guest's has none.

    What a guest asks must not run commands in the name of the owner, whose rules may allow them.
    """
    if not conversation.get("mcp_enabled") or isinstance(actor, Guest):
        return []
    return await catalog(actor, deps.servers, allowed=agent["allowed_tools"])


def place_of(fields: ConversationDoc) -> Place:
    """Return values that change whenever messages are added or replaced, or a branch is chosen."""
    return fields["generation"], fields["next_seq"], leaf_of(fields)


def tokens_left(fields: ConversationDoc, agent: Raw) -> int:
    """Return the tokens that the conversation may still use, without the reserved ones."""
    spent = fields.get("total_tokens_used", 0) + fields.get("reserved_tokens", 0)
    return int(agent["max_conversation_tokens"] - spent)


def refusal(fields: ConversationDoc, agent: Raw) -> TokenLimitReached:
    """Return the error for a reached token limit, which says what to do."""
    limit, used = agent["max_conversation_tokens"], fields.get("total_tokens_used", 0)
    held = fields.get("reserved_tokens", 0)
    now_used = f" and {held} are set aside for replies under way" if held else ""
    return TokenLimitReached(
        f"This conversation has used {used} of its {limit} tokens{now_used}; the next answer does "
        "not fit. Begin a new conversation, send less, or raise max_conversation_tokens of its "
        "agent."
    )


async def _turn(
    access: Access, store: MessageStore, conversation: ConversationDoc, wanted: ReplyIn
) -> Turn:
    if wanted.regenerate is not None:
        return await _regeneration(access, store, conversation, wanted.regenerate)
    if wanted.id is None:
        new_id = str(uuid.uuid4())
        return Turn(content=wanted.content, user_message_id=new_id, is_named=False)
    known = await find_messages(access, store, conversation, [wanted.id])
    if not known:
        return Turn(content=wanted.content, user_message_id=wanted.id)
    [(seq, message, _)] = known
    is_same = not is_deleted(message) and message["role"] == MessageRole.USER
    newest = (await read_before(access, store, conversation, LATEST, 1)).messages
    if not is_same or message["content"] != wanted.content or newest[-1].seq != seq:
        raise MessageIdTaken
    # It was stored, but its reply failed: this is the second attempt.
    return Turn(content=None, user_message_id=wanted.id)


async def _regeneration(
    access: Access, store: MessageStore, conversation: ConversationDoc, mode: Mode
) -> Turn:
    """Return the last user message shown, and the answer to it that is to be regenerated.

    Where results of tools come last, there is no answer yet.
    """
    said = await read_last_turn(access, store, conversation)
    if not said:
        raise NothingToAnswer
    asked = said[0].message
    shown = [
        each for each in said if not is_hidden(each) or each.message["role"] == MessageRole.TOOL
    ]
    seq, last, _ = shown[-1]
    if last["role"] in {MessageRole.USER, MessageRole.TOOL}:
        sent = sum(map(bool, pair_up([each.message for each in said])))
        return Turn(content=None, user_message_id=asked["id"], least=min(sent, PAGE))
    if last["role"] != MessageRole.ASSISTANT:
        raise NothingToAnswer
    # Alternative answers all answer the message before the first of them.
    beside = last.get("alternative_to")
    before = [each for each in said if each.seq < seq]
    while before and before[-1].message["id"] == beside:
        seq, beside = before[-1].seq, before[-1].message.get("alternative_to")
        before.pop()
    return Turn(
        content=None,
        user_message_id=asked["id"],
        mode=mode,
        target_id=last["id"],
        parent_id=before[-1].message["id"],
        upto=seq,
    )
