"""What the recorded frontend asks of a model: today, that none is configured."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.errors import Unavailable
from chatvault.routing import Routes
from chatvault.web import json_response

routes = Routes("replies")


class ModelNotConfigured(Unavailable):
    """No model is configured, so nothing can be answered."""

    code = "model_not_configured"


class CompletionIn(BaseModel):
    """A chat completion in OpenAI's shape."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, Any]]


class ModelOut(BaseModel):
    """The configured model."""

    model_config = ConfigDict(protected_namespaces=())

    model: str | None
    gpu_backend: str | None


class GpuOut(BaseModel):
    """What the frontend shows of a GPU."""

    gpu_available: bool
    gpu_name: str | None
    ollama_gpu_accelerated: bool
    ollama_model: str | None


@routes.route("GET", "/model/current", None, returns=ModelOut)
async def current_model(_request: web.Request) -> web.StreamResponse:
    """Say which model is configured."""
    return json_response(ModelOut(model=None, gpu_backend=None))


@routes.route("GET", "/gpu/health", None, returns=GpuOut)
async def gpu_health(_request: web.Request) -> web.StreamResponse:
    """Say which GPU the model runs on."""
    return json_response(
        GpuOut(gpu_available=False, gpu_name=None, ollama_gpu_accelerated=False, ollama_model=None)
    )


@routes.route("POST", "/chat/completions", Action.CHAT_COMPLETE, errors=(ModelNotConfigured,))
async def complete_chat(
    _request: web.Request, actor: Actor, body: CompletionIn
) -> web.StreamResponse:
    """Answer a chat through the configured model."""
    del actor, body
    raise ModelNotConfigured
