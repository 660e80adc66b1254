"""Chat completions over HTTP, in OpenAI's shape, and what the recorded frontend asks of a model."""

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web

from chatvault.actor import Actor
from chatvault.agents.models import ModelNotConfigured
from chatvault.audit.actions import Action
from chatvault.errors import ChatvaultError, NotFound, Throttled
from chatvault.replies import errors
from chatvault.replies.completions import complete
from chatvault.replies.provider import Models, Piece
from chatvault.replies.routes import DESK, EVENT_STREAM, STREAM_HEADERS
from chatvault.replies.schemas import CompletionIn, ConversationHeaders, GpuOut, ModelOut
from chatvault.routing import Routes
from chatvault.web import json_response, to_json

MODELS = web.AppKey("models", Models)
REFUSALS = (
    *(ModelNotConfigured, Throttled, NotFound, errors.ConversationArchived),
    *(errors.TokenLimitReached, *errors.FAILURES),
)
MEDIA = ("application/json", EVENT_STREAM)
routes = Routes("completions")


@routes.route("GET", "/model/current", None, returns=ModelOut)
async def current_model(request: web.Request) -> web.StreamResponse:
    """Say which model is configured."""
    offer = request.app[DESK].offer
    model = offer.find(None)[1].model if offer.providers else None
    return json_response(ModelOut(model=model, gpu_backend=None))


@routes.route("GET", "/gpu/health", None, returns=GpuOut)
async def gpu_health(_request: web.Request) -> web.StreamResponse:
    """Say which GPU the model runs on; what runs elsewhere is not known here."""
    return json_response(
        GpuOut(gpu_available=False, gpu_name=None, ollama_gpu_accelerated=False, ollama_model=None)
    )


@routes.route(
    "POST",
    "/chat/completions",
    Action.CHAT_COMPLETE,
    returns=dict[str, Any],
    media=MEDIA,
    errors=REFUSALS,
)
async def complete_chat(
    request: web.Request, actor: Actor, headers: ConversationHeaders, body: CompletionIn
) -> web.StreamResponse:
    """Answer a chat through the configured model, recording it where a conversation is named."""
    return await _complete(request, actor, headers, body)


@routes.route(
    "POST",
    "/v1/chat/completions",
    Action.CHAT_COMPLETE,
    returns=dict[str, Any],
    media=MEDIA,
    errors=REFUSALS,
)
async def complete_chat_v1(
    request: web.Request, actor: Actor, headers: ConversationHeaders, body: CompletionIn
) -> web.StreamResponse:
    """The same, under the path that OpenAI's clients add."""
    return await _complete(request, actor, headers, body)


async def _complete(
    request: web.Request, actor: Actor, headers: ConversationHeaders, body: CompletionIn
) -> web.StreamResponse:
    pieces = await complete(
        actor,
        request.app[DESK],
        request.app[MODELS],
        wanted=body,
        conversation_id=headers.conversation_id,
    )
    async with contextlib.aclosing(pieces):
        if body.stream:
            return await _stream(request, pieces, with_usage=body.wants_usage)
        return json_response(await _whole(pieces))


async def _whole(pieces: AsyncGenerator[Piece, None]) -> dict[str, Any]:
    """The answer in one piece."""
    text, model, reason = "", "", "stop"
    usage: tuple[int, int] = (0, 0)
    calls: dict[int, dict[str, Any]] = {}
    async for piece in pieces:
        text += piece.text
        model = piece.raw.get("model") or model
        reason = piece.finish_reason or reason
        usage = piece.usage or usage
        for part in piece.calls:
            call = calls.setdefault(
                part["index"],
                {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
            )
            call["id"] = part.get("id") or call["id"]
            for name, value in (part.get("function") or {}).items():
                call["function"][name] += value or ""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [call for _, call in sorted(calls.items())]
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": sum(usage),
        },
    }


async def _stream(
    request: web.Request, pieces: AsyncGenerator[Piece, None], *, with_usage: bool
) -> web.StreamResponse:
    """The chunks as they come; what fails before the first of them is a plain refusal."""
    first = await anext(pieces, None)
    response = web.StreamResponse(headers=STREAM_HEADERS)
    await response.prepare(request)
    try:
        if first is not None:
            await _write(response, first, with_usage=with_usage)
        async for piece in pieces:
            await _write(response, piece, with_usage=with_usage)
        await response.write(b"data: [DONE]\n\n")
    except ConnectionError:
        pass
    except ChatvaultError as error:
        shown = {"error": {"message": error.detail, "type": "server_error", "code": error.code}}
        await response.write(b"data: " + to_json(shown) + b"\n\n")
    return response


async def _write(response: web.StreamResponse, piece: Piece, *, with_usage: bool) -> None:
    if piece.raw.get("choices") or with_usage:
        await response.write(b"data: " + to_json(piece.raw) + b"\n\n")
