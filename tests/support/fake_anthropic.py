"""A fake model that speaks Anthropic's protocol, and answers what a test scripted."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatvault.external import Provider
from support.fake_model import SUMMARY_MARK, TITLE_MARK, FakeModel, ScriptedAnswer

CACHED = {"cache_read_input_tokens": 30, "cache_creation_input_tokens": 10}


@dataclass(kw_only=True)
class ScriptedMessage(ScriptedAnswer):
    """The answer to one request.

    Attributes:
        thinking: of a block before the text, each sent separately.
        signature: of that block; None for an answer without it.
        redacted: the data of a block of redacted thinking.
        reason: why the answer ends; None for what follows from its calls.
        error: the type of the error in the middle of the stream.
    """

    thinking: Sequence[str] = ()
    signature: str | None = None
    redacted: str | None = None
    reason: str | None = None
    error: str = "overloaded_error"


class FakeAnthropic(FakeModel):
    """The server's state, with the requests it received as they came."""

    def application(self) -> web.Application:
        """Return the server's application."""
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_post("/v1/messages", self._answer)
        app.router.add_get("/v1/models", self._list)
        return app

    def provider(self, **more: Any) -> Provider:
        """Return the settings that name this model."""
        given = {"protocol": "anthropic", "base_url": self.url, "model": "claude-twin", **more}
        return Provider(**given)

    async def _list(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers["Authorization"])
        return web.json_response({"data": [{"id": "claude-twin"}], "has_more": False})

    def _choose(self, body: dict[str, Any]) -> ScriptedAnswer:
        system = body.get("system", "")
        if TITLE_MARK in system or SUMMARY_MARK in system:
            self.behind.append(body)
            return self.title if TITLE_MARK in system else self.summary
        self.requests.append(body)
        return self.acts.popleft() if self.acts else ScriptedMessage(chunks=["Fine."])

    async def _stream(
        self, request: web.Request, body: dict[str, Any], act: ScriptedAnswer
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        given = act.usage or {}
        usage = {"input_tokens": given.get("prompt_tokens", 0), "output_tokens": 1}
        head: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
        }
        head |= {"model": body["model"], "stop_reason": None, "stop_sequence": None}
        await _send(response, "message_start", message={**head, "usage": {**usage, **CACHED}})
        await _send(response, "ping")
        index = -1
        for index, (start, deltas) in enumerate(_blocks(act)):
            await _send(response, "content_block_start", index=index, content_block=start)
            for number, delta in enumerate([*deltas, None]):
                if start["type"] == "text" and not await self._goes_on(
                    request, response, act, number
                ):
                    return response
                if delta is not None:
                    await _send(response, "content_block_delta", index=index, delta=delta)
            await _send(response, "content_block_stop", index=index)
        if act.ends:
            ended = {"output_tokens": given.get("completion_tokens", 0)}
            ended["output_tokens_details"] = {"thinking_tokens": 2}
            delta = {"stop_reason": _reason(act), "stop_sequence": None}
            await _send(response, "message_delta", delta=delta, usage=ended)
            await _send(response, "message_stop")
        return response

    async def _goes_on(
        self, request: web.Request, response: web.StreamResponse, act: ScriptedAnswer, number: int
    ) -> bool:
        """Fail where the script says so; return whether the answer continues."""
        if act.cut_after == number:
            self.cut += 1
            assert request.transport is not None
            request.transport.abort()
            return False
        if act.error_after == number:
            kind = act.error if isinstance(act, ScriptedMessage) else "api_error"
            await _send(response, "error", error={"type": kind, "message": "no: sk-hush"})
            return False
        if number >= act.ungated and act.gate is not None:
            await act.gate.wait()
        return True


def _reason(act: ScriptedAnswer) -> str:
    reason = act.reason if isinstance(act, ScriptedMessage) else None
    return reason or ("tool_use" if act.calls else "end_turn")


def _blocks(act: ScriptedAnswer) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return how each block of an answer starts, and the deltas that follow."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    start: dict[str, Any]
    if isinstance(act, ScriptedMessage) and act.signature is not None:
        deltas = [{"type": "thinking_delta", "thinking": each} for each in act.thinking]
        signed = {"type": "signature_delta", "signature": act.signature}
        start = {"type": "thinking", "thinking": "", "signature": ""}
        blocks.append((start, [*deltas, signed]))
    if isinstance(act, ScriptedMessage) and act.redacted is not None:
        blocks.append(({"type": "redacted_thinking", "data": act.redacted}, []))
    if act.chunks or act.cut_after is not None or act.error_after is not None:
        deltas = [{"type": "text_delta", "text": each} for each in act.chunks]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for number, (name, arguments, *given) in enumerate(act.calls):
        call_id = given[0] if given else f"toolu_{number}"
        start = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        half = len(arguments) // 2
        parts = [arguments[:half], arguments[half:]] if arguments else [""]
        blocks.append(
            (start, [{"type": "input_json_delta", "partial_json": each} for each in parts])
        )
    return blocks


async def _send(response: web.StreamResponse, kind: str, **more: Any) -> None:
    data = json.dumps({"type": kind, **more})
    await response.write(f"event: {kind}\ndata: {data}\n\n".encode())


@pytest.fixture(scope="session")
async def only_anthropic() -> AsyncIterator[FakeAnthropic]:
    """The fake model of all tests of a module, so that they share an application."""
    fake = FakeAnthropic()
    server = TestServer(fake.application())
    await server.start_server()
    fake.url = str(server.make_url("/v1"))
    yield fake
    await server.close()


@pytest.fixture
async def fake_anthropic(only_anthropic: FakeAnthropic) -> AsyncIterator[FakeAnthropic]:
    """A model that says what the test wrote for it, over the real wire."""
    yield only_anthropic
    await only_anthropic.reset()
