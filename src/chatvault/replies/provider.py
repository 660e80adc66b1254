"""Call a model: one stream of chunks whatever protocol it speaks, every failure with a code."""

import asyncio
import importlib
import math
import random
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson
import structlog

from chatvault.external import Provider
from chatvault.metrics.instruments import Metrics, TokenMetrics
from chatvault.replies import anthropic_protocol, errors, openai_protocol
from chatvault.replies.model_calls import Chunk, ModelRequest
from chatvault.replies.wire import values_of

ATTEMPTS = 3
FIRST_WAIT = 0.4  # seconds; doubles with each attempt
MAX_WAIT = 5.0  # seconds; a longer wait is passed on to the client
MAX_RETRY_AFTER = 86_400.0  # seconds
MAX_ANSWER = 1024 * 1024  # bytes; the limit of any message
HTTP_SERVER_ERROR = 500
PROTOCOLS = {"openai": openai_protocol, "anthropic": anthropic_protocol}
RETRIED = (errors.ModelTimedOut, errors.ModelRateLimited, errors.ModelUnavailable)
log = structlog.get_logger()


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
                    started = started or bool(chunk.text or chunk.thinking or chunk.calls)
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

    async def connect(self, name: str) -> None:
        """Import a provider's SDK and make its client, which takes a second or more at first."""
        await self._client(name)

    async def list_models(self, name: str) -> tuple[int, set[str]]:
        """Ask a provider which models it has; return its status and the models' names.

        Raises:
            ModelFailed: it does not answer like a model's API.
        """
        client = await self._client(name)
        protocol = self._protocol(name)
        sdk = importlib.import_module(protocol.SDK)
        # Loaded already, by the SDK; only the exceptions are needed here.
        import httpx2  # noqa: PLC0415  # as said

        try:
            listed = orjson.loads(await protocol.list_models(client))
        except sdk.APIStatusError as error:
            return error.status_code, set()
        except (sdk.APIConnectionError, httpx2.HTTPError) as error:
            raise errors.ModelUnavailable from error
        except ValueError as error:
            raise errors.ModelNonsense from error
        found = listed.get("data") if isinstance(listed, dict) else None
        items = found if isinstance(found, list) else []
        return 200, {str(each.get("id")) for each in items if isinstance(each, dict)}

    async def _read(self, ask: ModelRequest) -> AsyncGenerator[Chunk, None]:
        client = await self._client(ask.provider)
        protocol = self._protocol(ask.provider)
        sdk = importlib.import_module(protocol.SDK)
        # Loaded already, by the SDK; only the exceptions are needed here.
        import httpx2  # noqa: PLC0415  # as said

        try:
            # Raw lines: the SDK's own objects take a third of a busy process's time.
            asking = protocol.ask(client, self._providers[ask.provider], ask)
            async with asking as response:
                size, patience, reader = 0, Patience(self._timeout), protocol.Reader(ask)
                async for value in values_of(response.iter_bytes(), patience.check):
                    for chunk in reader.read(value):
                        size = _grown(size, chunk)
                        if chunk.is_progress:
                            patience.renew()
                        yield chunk
                        patience.resume()
        except (sdk.APITimeoutError, httpx2.TimeoutException, TimeoutError) as error:
            raise errors.ModelTimedOut from error
        except sdk.APIStatusError as error:
            raise _status_error(error.status_code, error.response.headers) from error
        except (sdk.APIConnectionError, httpx2.HTTPError) as error:
            raise errors.ModelUnavailable from error
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise errors.ModelNonsense from error

    def _protocol(self, name: str) -> Any:
        return PROTOCOLS[self._providers[name].protocol]

    async def _client(self, name: str) -> Any:
        if name not in self._clients:
            # In a thread, as it takes a second in which other requests are served.
            client = await asyncio.to_thread(self._connect, name)
            if name in self._clients:
                await client.close()
            self._clients.setdefault(name, client)
        return self._clients[name]

    def _connect(self, name: str) -> Any:
        return self._protocol(name).connect(self._providers[name], self._timeout)


def _grown(size: int, chunk: Chunk) -> int:
    """Return the answer's size with this chunk; raise if it is too large."""
    if size + chunk.size > MAX_ANSWER:
        raise ValueError("too long an answer")
    return size + chunk.size


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
