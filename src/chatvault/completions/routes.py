"""HTTP routes of chat completions, in OpenAI's shape, and what frontends ask about models."""

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.agents.models import ModelNotConfigured
from chatvault.audit.actions import Action
from chatvault.completions.service import complete
from chatvault.encoding import to_json
from chatvault.errors import OF_QUOTAS, ConversationArchived, NotFound, Throttled
from chatvault.http.bodies import PICTURES_BODY
from chatvault.http.problems import broken_off
from chatvault.http.requests import (
    IdempotencyHeaders,
    begin_stream,
    idempotency_key_of,
    json_response,
)
from chatvault.http.routing import Routes
from chatvault.http.sse import EVENT_STREAM, STREAM_HEADERS
from chatvault.idempotency import KeyReused
from chatvault.replies import errors
from chatvault.replies.chunks import ChunkAccumulator
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.model_calls import Chunk, call_wire
from chatvault.replies.provider import ModelClients
from chatvault.replies.schemas import CompletionIn, ConversationHeaders, GpuOut, ModelOut

MODELS = web.AppKey("models", ModelClients)
REFUSALS = (
    *(ModelNotConfigured, Throttled, NotFound, KeyReused, ConversationArchived),
    *(errors.TokenLimitReached, *errors.FAILURES, *OF_QUOTAS),
)
DEPS = web.AppKey("completion_deps", ReplyDeps)
MEDIA = ("application/json", EVENT_STREAM)
CONVERSATION_ID = "X-Conversation-Id"
routes = Routes("completions")


class CompletionHeaders(ConversationHeaders, IdempotencyHeaders):
    """The headers of a completion: the conversation that records it, and its key."""


@routes.route("GET", "/model/current", None, returns=ModelOut)
async def current_model(request: web.Request) -> web.StreamResponse:
    """Say which model is configured.

    For frontends that ask before they show one.
    """
    return json_response(ModelOut(model=_configured_model(request.app[DEPS]), gpu_backend=None))


@routes.route("GET", "/gpu/health", None, returns=GpuOut)
async def gpu_health(request: web.Request) -> web.StreamResponse:
    """Name the configured model, by which a client sees that there is one.

    For frontends that ask; what the model runs on, somewhere else, is not known here.
    """
    return json_response(
        GpuOut(
            gpu_available=False,
            gpu_name=None,
            ollama_gpu_accelerated=False,
            ollama_model=_configured_model(request.app[DEPS]),
        )
    )


def _configured_model(deps: ReplyDeps) -> str | None:
    return deps.catalog.find(None)[1].model if deps.catalog.providers else None


@routes.route(
    "POST",
    "/chat/completions",
    Action.CHAT_COMPLETE,
    scope=Scope.AGENTS_RUN,
    returns=dict[str, Any],
    media=MEDIA,
    errors=REFUSALS,
    sends=(CONVERSATION_ID,),
    max_body=PICTURES_BODY,
)
async def complete_chat(
    request: web.Request, actor: Actor, headers: CompletionHeaders, body: CompletionIn
) -> web.StreamResponse:
    """Answer a chat through the configured model, recording it where a conversation is named.

    In OpenAI's shape, whole or as a stream. With `X-Conversation-Id` the exchange is recorded
    there; else with `store` it is kept as a conversation in the category "Agents". The answer's
    `X-Conversation-Id` names the conversation.
    """
    return await _complete(request, actor, headers, body)


@routes.route(
    "POST",
    "/v1/chat/completions",
    Action.CHAT_COMPLETE,
    scope=Scope.AGENTS_RUN,
    returns=dict[str, Any],
    media=MEDIA,
    errors=REFUSALS,
    sends=(CONVERSATION_ID,),
    max_body=PICTURES_BODY,
)
async def complete_chat_v1(
    request: web.Request, actor: Actor, headers: CompletionHeaders, body: CompletionIn
) -> web.StreamResponse:
    """Answer a chat, under the path that OpenAI's clients add.

    For clients that add `/v1` to the address by themselves.
    """
    return await _complete(request, actor, headers, body)


async def _complete(
    request: web.Request, actor: Actor, headers: CompletionHeaders, body: CompletionIn
) -> web.StreamResponse:
    completion = await complete(
        actor,
        request.app[DEPS],
        request.app[MODELS],
        wanted=body,
        conversation_id=headers.conversation_id,
        idempotency_key=await idempotency_key_of(
            request, headers, beside=str(headers.conversation_id or "")
        ),
    )
    recorded = completion.conversation_id
    sent = {} if recorded is None else {CONVERSATION_ID: str(recorded)}
    async with contextlib.aclosing(completion.chunks) as chunks:
        if body.stream:
            answer = Streamed(
                with_usage=body.wants_usage, is_kept=headers.key is not None, headers=sent
            )
            return await _stream(request, chunks, answer)
        return json_response(await _collect(chunks), headers=sent)


async def _collect(chunks: AsyncGenerator[Chunk, None]) -> dict[str, Any]:
    """Return the chunks as one completion."""
    said = ChunkAccumulator()
    async for chunk in chunks:
        said.take(chunk)
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.calls:
        message["tool_calls"] = [call_wire(**call) for _, call in sorted(said.calls.items())]
    return {
        "id": said.last.get("id") or f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": said.last.get("created") or int(time.time()),
        "model": said.model,
        "choices": [{"index": 0, "message": message, "finish_reason": said.finish_reason}],
        "usage": said.last.get("usage"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """The way in which an answer is streamed.

    Attributes:
        with_usage: whether to send the token counts too.
        is_kept: whether the answer is stored for a repeat, and so is completed without a listener.
        headers: further headers.
    """

    with_usage: bool
    is_kept: bool
    headers: Mapping[str, str]


async def _stream(
    request: web.Request, chunks: AsyncGenerator[Chunk, None], answer: Streamed
) -> web.StreamResponse:
    """Send the chunks as they come; a failure before the first is an ordinary error response."""
    first = await anext(chunks, None)
    response = await begin_stream(request, {**STREAM_HEADERS, **answer.headers})
    try:
        if first is not None:
            await _write(response, first, with_usage=answer.with_usage)
        async for chunk in chunks:
            await _write(response, chunk, with_usage=answer.with_usage)
        await response.write(b"data: [DONE]\n\n")
    except ConnectionError:
        if answer.is_kept:
            try:
                async for _ in chunks:
                    pass
            except Exception as error:  # noqa: BLE001  # nobody is there to be told
                broken_off(error)
    except Exception as error:  # noqa: BLE001  # handed to the client, whose answer has begun
        broken = broken_off(error)
        shown = {"error": {"message": broken.detail, "type": "server_error", "code": broken.code}}
        await response.write(b"data: " + to_json(shown) + b"\n\n")
    return response


async def _write(response: web.StreamResponse, chunk: Chunk, *, with_usage: bool) -> None:
    if chunk.raw.get("choices") or with_usage:
        await response.write(b"data: " + to_json(chunk.raw) + b"\n\n")
