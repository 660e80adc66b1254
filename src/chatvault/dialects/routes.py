"""HTTP routes that only other clients know, and the dialects of ours."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import orjson
from aiohttp import hdrs, web

from chatvault.actor import Actor, Scope
from chatvault.agents.models import AgentNotFound, ModelNotConfigured
from chatvault.audit.actions import Action
from chatvault.conversations import service as conversations
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.headers import ConditionalHeaders
from chatvault.conversations.schemas import ArchiveIn, ConversationPath
from chatvault.dialects.names import add_to_conversation, add_to_messages, to_openai_error
from chatvault.dialects.parameters import AgentName, ListNames, ShownNames
from chatvault.dialects.schemas import ArchivedOut, SendIn, SentOut
from chatvault.encoding import to_json
from chatvault.errors import (
    OF_QUOTAS,
    ConversationArchived,
    MessageIdTaken,
    StaleVersion,
    Throttled,
)
from chatvault.fields import Raw
from chatvault.http.bodies import MESSAGE_BODY
from chatvault.http.dialects import Dialect, Names
from chatvault.http.requests import (
    ACTOR,
    IdempotencyHeaders,
    idempotency_key_of,
    json_response,
    link_to,
)
from chatvault.http.rewriting import rewrite
from chatvault.http.routing import Operation, Routes
from chatvault.http.sse import EVENT_STREAM, send_events, wants_stream
from chatvault.idempotency import KeyReused
from chatvault.replies import errors, service
from chatvault.replies.deps import ReplyDeps

COMMITS = web.AppKey("dialect_commits", CommitQueue)
REPLY_DEPS = web.AppKey("dialect_replies", ReplyDeps)
CONVERSATION = "/conversations/{conversation_id}"
MESSAGES = f"{CONVERSATION}/messages"
TOTAL = "X-Total-Count"
routes = Routes("conversations")
# Chosen by a parameter of an operation with the same path.
chosen = Routes("messages")


@routes.route(
    "PUT",
    f"{CONVERSATION}/archive",
    Action.CONVERSATION_ARCHIVE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ArchivedOut,
    errors=(StaleVersion,),
)
async def put_archived(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: ConditionalHeaders,
    body: ArchiveIn,
) -> web.StreamResponse:
    """Archive a conversation, or restore it, with a short answer.

    `POST` answers with the conversation.
    """
    await conversations.archive(
        actor,
        request.app[COMMITS],
        conversation_id=path.conversation_id,
        archived=body.archived,
        precondition=headers.precondition,
        with_messages=False,
    )
    return json_response(ArchivedOut(archived=body.archived))


@chosen.route(
    "POST",
    MESSAGES,
    Action.REPLY_CREATE,
    scope=Scope.AGENTS_RUN,
    returns=SentOut,
    media=("application/json", EVENT_STREAM),
    errors=(
        *(ModelNotConfigured, AgentNotFound, Throttled, KeyReused, MessageIdTaken),
        *(
            ConversationArchived,
            errors.ReplyInProgress,
            errors.TokenLimitReached,
            *errors.FAILURES,
            *OF_QUOTAS,
        ),
    ),
    max_body=MESSAGE_BODY,
)
async def send_message(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: IdempotencyHeaders,
    body: SendIn,
) -> web.StreamResponse:
    """Send a message and get the answer, complete or as a stream while it is written.

    `POST …/replies` does the same, and more.
    """
    asked: dict[str, Any] = {
        "conversation_id": path.conversation_id,
        "wanted": body.to_reply(),
        # The same path with another meaning: a key of one must not find an answer of the other.
        "idempotency_key": await idempotency_key_of(request, headers, beside="reply=true"),
    }
    if wants_stream(request):
        return await send_events(
            request, await service.stream_answer(actor, request.app[REPLY_DEPS], **asked)
        )
    exchange = await service.await_answer(actor, request.app[REPLY_DEPS], **asked)
    return json_response(_sent(exchange, str(actor.owner_id)))


def _sent(exchange: Raw, user_id: str) -> Raw:
    """Return an exchange under the names of the other client."""
    shown = {name: value for name, value in exchange.items() if name in SentOut.model_fields}
    shown["message_id"] = exchange["user_message"]["id"]
    if (answer := exchange["assistant_message"]) is not None:
        # Its followers share it.
        shown["assistant_message"] = {**answer}
        add_to_messages(shown, str(exchange["conversation_id"]), user_id)
    return shown


class Shown(ShownNames, Names):
    """The parameter that adds other names to an answer."""


class Listed(ListNames, Names):
    """The parameters of a list."""


class ByAgent(AgentName, Names):
    """The parameter that names an agent."""


async def _show_names(request: web.Request, names: Shown, response: web.Response) -> None:
    """Add other names to a conversation, or to what is shown of one."""
    conversation_id = request.match_info.get("conversation_id", "")
    user_id = str(request[ACTOR].owner_id)

    def change(value: Raw) -> Raw:
        if "agent_id" in value:
            add_to_conversation(value)
        else:
            add_to_messages(value, conversation_id, user_id)
        return value

    if names.names is not None:
        await rewrite(request, response, change)


async def _show_list(request: web.Request, names: Listed, response: web.Response) -> None:
    """Add other names to the conversations of a list, and make it a page with a number."""

    def change(conversations: list[Raw]) -> list[Raw]:
        for each in conversations:
            add_to_conversation(each)
        return conversations

    if names.names is not None:
        await rewrite(request, response, change)
    if not names.is_page:
        return
    listed = orjson.Fragment(cast("bytes", response.body))
    page = names.show_page(listed, int(response.headers[TOTAL]))
    response.body = to_json(page)
    around = {"next": names.number + 1} if page["has_more"] else {}
    around |= {"prev": names.number - 1} if names.number > 1 else {}
    response.headers.pop(hdrs.LINK, None)
    if around:
        response.headers[hdrs.LINK] = ", ".join(
            f'<{link_to(request, page=number)}>; rel="{name}"' for name, number in around.items()
        )


AGENT_FIELD = {"squad_member_id": "agent_id"}
NAMES_NOTE = "With `names=all`, answers have the names that other clients know beside ours."
_NAMES = Dialect(parameters=Shown, show=_show_names, note=NAMES_NOTE)
_OPENAI = Dialect(
    show_problem=to_openai_error, note="A problem has `error` too, in OpenAI's shape."
)
_NAMES_AND_AGENT = replace(_NAMES, fields=AGENT_FIELD)
DIALECTS: Mapping[tuple[str, str], Dialect] = {
    ("GET", "/conversations"): Dialect(
        parameters=Listed,
        show=_show_list,
        note="`page` and `page_size` give an object with the page in place of the array. "
        + NAMES_NOTE,
    ),
    ("POST", "/conversations"): _NAMES_AND_AGENT,
    ("GET", CONVERSATION): _NAMES,
    ("PUT", CONVERSATION): _NAMES,
    ("PATCH", CONVERSATION): _NAMES_AND_AGENT,
    ("POST", f"{CONVERSATION}/archive"): _NAMES,
    ("GET", MESSAGES): _NAMES,
    ("POST", MESSAGES): replace(
        _NAMES, note=f"With `reply=true` the agent answers; `agents:run` is needed. {NAMES_NOTE}"
    ),
    ("POST", f"{MESSAGES}:batch"): _NAMES,
    ("GET", MESSAGES + "/{message_id}"): _NAMES,
    ("PATCH", MESSAGES + "/{message_id}"): _NAMES,
    ("POST", f"{CONVERSATION}/replies"): _NAMES_AND_AGENT,
    ("GET", f"{CONVERSATION}/context"): Dialect(parameters=ByAgent),
    ("GET", "/search"): Dialect(parameters=ByAgent),
    ("POST", "/chat/completions"): _OPENAI,
    ("POST", "/v1/chat/completions"): _OPENAI,
}
INSTEAD: Mapping[tuple[str, str], tuple[str, Operation]] = {
    ("POST", MESSAGES): ("reply", replace(chosen.operations[0], dialect=_NAMES_AND_AGENT)),
}


def with_dialects(all_routes: Iterable[Routes]) -> tuple[Routes, ...]:
    """Return all routes, those that have one with their dialect."""
    return tuple(
        Routes(
            each.tag,
            [
                replace(
                    operation,
                    dialect=DIALECTS.get((operation.method, operation.path)),
                    instead=INSTEAD.get((operation.method, operation.path)),
                )
                for operation in each
            ],
        )
        for each in all_routes
    )
