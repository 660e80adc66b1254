"""Call a model by OpenAI's protocol: one stream of chunks, every failure with a code."""

import asyncio
import importlib
import math
import random
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog

from chatvault.external import Provider
from chatvault.metrics.instruments import Metrics, TokenMetrics
from chatvault.mongodb.storable import check_storable
from chatvault.replies import errors
from chatvault.replies.wire import values_of

OPENAI = "https://api.openai.com/v1"
ATTEMPTS = 3
FIRST_WAIT = 0.4  # seconds; doubles with each attempt
MAX_WAIT = 5.0  # seconds; a longer wait is passed on to the client
CONNECT_TIMEOUT = 10.0
MAX_RETRY_AFTER = 86_400.0  # seconds
MAX_ANSWER = 1024 * 1024  # bytes; the limit of any message
MAX_CALLS = 128
MAX_TOKENS = 2**31
MAX_USAGE = 4096  # bytes of JSON that a provider's usage may have
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
HTTP_SERVER_ERROR = 500
RETRIED = (errors.ModelTimedOut, errors.ModelRateLimited, errors.ModelUnavailable)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request to a model.

    Attributes:
        provider: its name in the settings.
        max_tokens: the limit of the answer.
        options: further parameters of OpenAI's, as sent by the client.
    """

    provider: str
    model: str
    messages: list[dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a model's answer.

    Attributes:
        calls: parts of tool calls, each with its `index`, and with `id` and `function` or without.
        usage: input and output tokens, if the provider gives them.
        raw: the chunk as received.
    """

    text: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None
    usage: tuple[int, int] | None = None
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def is_usage_only(self) -> bool:
        """Whether it has the usage, and no part of the answer."""
        return bool(self.raw.get("usage")) and not self.raw.get("choices")

    @property
    def size(self) -> int:
        """The bytes it adds to the answer."""
        said = [part["function"] for part in self.calls]
        return len(self.text.encode()) + sum(
            len(part["name"].encode()) + len(part["arguments"].encode()) for part in said
        )


class Patience:
    """The time limit for the next word of an answer.

    The HTTP client's own limit starts again with each byte, so that comments and empty chunks,
    which keep a connection alive, would let an answer take any time. That limit applies if nothing
    comes at all.

    Args:
        limit: seconds.
    """

    __slots__ = ("_limit", "_since", "_waited")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._since = time.monotonic()
        self._waited = 0.0

    def check(self) -> None:
        """Note that bytes came, with or without a word.

        Raises:
            TimeoutError: no word came for too long.
        """
        now = time.monotonic()
        self._waited += now - self._since
        self._since = now
        if self._waited > self._limit:
            raise TimeoutError

    def renew(self) -> None:
        """Note that a word came."""
        self._waited = 0.0

    def resume(self) -> None:
        """Start waiting again; the time spent on handling a word does not count."""
        self._since = time.monotonic()


class ModelClients:
    """The clients of all providers.

    Args:
        providers: from the settings.
        timeout: seconds to wait for the next word.
        tokens: counts what is used; None counts for nobody.

    Attributes:
        tokens: counts what is used, which whoever stores it tells.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        timeout: float,
        tokens: TokenMetrics | None = None,
    ) -> None:
        self.tokens = tokens or Metrics().tokens
        self._providers = providers
        self._timeout = timeout
        self._clients: dict[str, Any] = {}

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def stream(self, ask: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Yield the answer's chunks; retry while none has come.

        Raises:
            ModelFailed: with a code for each kind of failure.
        """
        for attempt in range(1, ATTEMPTS + 1):
            started = finished = False
            try:
                async for chunk in self._read(ask):
                    started = started or bool(chunk.text or chunk.calls)
                    finished = finished or chunk.finish_reason is not None
                    yield chunk
                if not finished:
                    raise (
                        errors.ModelStreamBroken if started else errors.ModelUnavailable
                    )  # retries are made here only
            except errors.ModelFailed as error:
                if finished:
                    # The answer is complete; at most its usage is lost.
                    log.warning("model_broke_off_after_its_end", code=error.code)
                    return
                if started:
                    if isinstance(error, errors.ModelUnavailable):
                        raise errors.ModelStreamBroken from error
                    raise
                wait = self._wait(error, attempt)
                if wait is None:
                    raise
                log.warning("model_asked_again", provider=ask.provider, code=error.code)
                await asyncio.sleep(wait)
            else:
                return

    @staticmethod
    def _wait(error: errors.ModelFailed, attempt: int) -> float | None:
        """Return the seconds to wait before the next attempt; None to stop."""
        if attempt == ATTEMPTS or not isinstance(error, RETRIED):
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= MAX_WAIT else None
        wait: float = FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311  # no secret
        return wait

    async def list_models(self, name: str) -> tuple[int, set[str]]:
        """Ask a provider which models it has; return its status and the models' names.

        Raises:
            ModelFailed: it does not answer like a model's API.
        """
        client = await self._client(name)
        # Loaded already; only the exceptions are needed here.
        import httpx2  # noqa: PLC0415  # as said
        import openai  # noqa: PLC0415  # as said

        try:
            answer = await client.models.with_raw_response.list()
            listed = orjson.loads(answer.content)
        except openai.APIStatusError as error:
            return error.status_code, set()
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise errors.ModelUnavailable from error
        except ValueError as error:
            raise errors.ModelNonsense from error
        found = listed.get("data") if isinstance(listed, dict) else None
        items = found if isinstance(found, list) else []
        return 200, {str(each.get("id")) for each in items if isinstance(each, dict)}

    async def _read(self, ask: ModelRequest) -> AsyncGenerator[Chunk, None]:
        client = await self._client(ask.provider)
        # Loaded already; only the exceptions are needed here.
        import httpx2  # noqa: PLC0415  # as said
        import openai  # noqa: PLC0415  # as said

        try:
            # Raw lines: openai's own objects take a third of a busy process's time.
            asking = client.chat.completions.with_streaming_response
            async with asking.create(**self._parameters(ask)) as response:
                size, patience = 0, Patience(self._timeout)
                async for value in values_of(response.iter_bytes(), patience.check):
                    chunk = _piece(value)
                    size = _grown(size, chunk)
                    if _is_word(value):
                        patience.renew()
                    yield chunk
                    patience.resume()
        except (openai.APITimeoutError, httpx2.TimeoutException, TimeoutError) as error:
            raise errors.ModelTimedOut from error
        except openai.APIStatusError as error:
            raise _status_error(error.status_code, error.response.headers) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise errors.ModelUnavailable from error
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise errors.ModelNonsense from error

    def _parameters(self, ask: ModelRequest) -> dict[str, Any]:
        # Passed on unchanged: openai walks through each message of `messages` by its type, which
        # takes a third of what a reply costs.
        body: dict[str, Any] = {"messages": ask.messages}
        if ask.tools:
            body["tools"] = ask.tools
        given: dict[str, Any] = {
            **ask.options,
            "model": ask.model,
            "messages": (),
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": body,
        }
        if ask.temperature is not None:
            given["temperature"] = ask.temperature
        if ask.max_tokens is not None:
            given[self._limit_name(ask.provider)] = ask.max_tokens
        return given

    def _limit_name(self, provider: str) -> str:
        # OpenAI's newer models refuse the old name; many other providers only know the old one.
        host = urlsplit(self._providers[provider].base_url or OPENAI).hostname
        return "max_completion_tokens" if host == "api.openai.com" else "max_tokens"

    async def _client(self, name: str) -> Any:
        if name not in self._clients:
            # In a thread, as it takes a second in which other requests are served.
            client = await asyncio.to_thread(self._connect, name)
            if name in self._clients:
                await client.close()
            self._clients.setdefault(name, client)
        return self._clients[name]

    def _connect(self, name: str) -> Any:
        openai = importlib.import_module("openai")
        provider = self._providers[name]
        key = provider.api_key.get_secret_value() if provider.api_key else ""
        return openai.AsyncOpenAI(
            base_url=provider.base_url or OPENAI,
            api_key=key or "none",
            max_retries=0,
            timeout=openai.Timeout(self._timeout, connect=CONNECT_TIMEOUT),
        )


def add_calls(calls: dict[int, dict[str, Any]], chunk: Chunk) -> None:
    """Merge a chunk's parts of tool calls into the calls so far: id, name and arguments."""
    for part in chunk.calls:
        call = calls.setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
        function = part.get("function") or {}
        call["id"] = part.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def call_wire(*, id: str, name: str, arguments: str) -> dict[str, Any]:  # noqa: A002  # the field's name
    """Return a tool call in OpenAI's shape."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def further_usage(usage: Any) -> dict[str, Any]:
    """Return the provider's usage fields beside the three counts, as far as they can be stored."""
    if not isinstance(usage, dict):
        return {}
    further = {name: value for name, value in usage.items() if name not in COUNTS}
    return further if check_storable(further, max_bytes=MAX_USAGE) is None else {}


def _is_word(chunk: Any) -> bool:
    """Whether a chunk is progress: hidden reasoning counts, an empty chunk does not."""
    choices = chunk.get("choices")
    if not choices:
        return bool(chunk.get("usage"))
    choice = choices[0]
    delta = choice.get("delta") or {}
    if delta.get("content") or choice.get("finish_reason"):
        return True
    return any(value for name, value in delta.items() if name != "role")


def _piece(chunk: dict[str, Any]) -> Chunk:
    """Parse a chunk; raise, which counts as nonsense, if it is not understood."""
    if chunk.get("error"):
        raise errors.ModelUnavailable
    usage = chunk.get("usage")
    choices = chunk.get("choices")
    if choices is None and not usage:
        raise ValueError("no choices")
    if not choices:
        return Chunk(usage=_usage(usage), raw=chunk)
    choice = choices[0]
    delta = choice.get("delta") or {}
    return Chunk(
        text=_text(delta.get("content")),
        calls=tuple(_call(part) for part in delta.get("tool_calls") or ()),
        finish_reason=_text(choice.get("finish_reason")) or None,
        usage=_usage(usage),
        raw=chunk,
    )


def _grown(size: int, chunk: Chunk) -> int:
    """Return the answer's size with this chunk; raise if it is too large."""
    if size + chunk.size > MAX_ANSWER:
        raise ValueError("too long an answer")
    return size + chunk.size


def _usage(usage: Any) -> tuple[int, int] | None:
    """Return input and output tokens; None if they cannot be right, so that we count."""
    if not isinstance(usage, dict):
        return None
    counted = usage.get("prompt_tokens"), usage.get("completion_tokens")
    known = [count for count in counted if isinstance(count, int) and 0 <= count < MAX_TOKENS]
    return (known[0], known[1]) if len(known) == len(counted) else None


def _call(part: dict[str, Any]) -> dict[str, Any]:
    """Return the known fields of a part of a tool call."""
    index, function = part["index"], part.get("function") or {}
    if not isinstance(index, int) or not 0 <= index < MAX_CALLS:
        raise ValueError("no such tool call")
    said = {"name": _text(function.get("name")), "arguments": _text(function.get("arguments"))}
    return {"index": index, "id": _text(part.get("id")), "function": said}


def _text(value: Any) -> str:
    """Return a text; the empty one for None."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _status_error(status: int, headers: Mapping[str, str]) -> errors.ModelFailed:
    if status == 429:  # noqa: PLR2004  # Too Many Requests
        return errors.ModelRateLimited(retry_after=_seconds(headers.get("retry-after")))
    if status in {408, 409} or status >= HTTP_SERVER_ERROR:
        return errors.ModelUnavailable(retry_after=_seconds(headers.get("retry-after")))
    # The provider's text may repeat the key or the prompt: only its status is passed on.
    return errors.ModelRefused(
        f"The model's provider refused the request with status {status}; "
        "an operator should look at its settings."
    )


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value else math.nan
    except ValueError:
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER) if math.isfinite(seconds) else None
