"""A fake model: an HTTP server that speaks OpenAI's protocol and answers what a test scripted.

It can also fail in every way that a provider can. `@copilotkit/aimock`, which is used as well,
cannot hold a stream open between two chunks until the test says so.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TITLE_MARK = "title of at most six words"
SUMMARY_MARK = "2-3 sentence summary"
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


@dataclass(kw_only=True)
class ScriptedAnswer:
    """The answer to one request.

    Attributes:
        chunks: of the text, each sent separately.
        calls: tool calls, as name and arguments, and an id if it is not `call-` and a number.
        usage: None if the provider gives none.
        status: anything but 200 is an error.
        headers: of an error.
        body: sent instead of everything else.
        is_cut: whether the connection ends in the middle of the body.
        cut_after: the number of chunks after which the connection breaks.
        error_after: the number of chunks after which the stream reports an error.
        ends: whether the stream is ended properly.
        pause: seconds between chunks.
        gate: an event that must be set before each chunk after the first ones.
        ungated: how many chunks do not wait for the gate.
        held: an event that must be set before the answer begins.
        first: sent before everything else.
        keep_alive: sent repeatedly in place of an answer, until the client disconnects.
        thoughts: how many chunks of reasoning, 20 ms apart, come before the text.
        reasoning: further pieces of reasoning before the text, in the field that has them.
    """

    chunks: Sequence[str] = ("Hello", " there", ".")
    calls: Sequence[tuple[str, ...]] = ()
    usage: dict[str, Any] | None = field(default_factory=lambda: dict(USAGE))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_cut: bool = False
    cut_after: int | None = None
    error_after: int | None = None
    ends: bool = True
    pause: float = 0.0
    gate: asyncio.Event | None = None
    ungated: int = 1
    held: asyncio.Event | None = None
    first: bytes = b""
    keep_alive: bytes = b""
    thoughts: int = 0
    reasoning: Sequence[dict[str, Any]] = ()


class FakeModel:
    """The server's state: the requests it received, and the answers to give next.

    Attributes:
        url: where it answers, for all tests of a run.
    """

    def __init__(self) -> None:
        self.url = ""
        self._answering: set[asyncio.Task[Any]] = set()
        self._forget()

    def _forget(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.behind: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.times: list[float] = []
        self.acts: deque[ScriptedAnswer] = deque()
        self.usual: ScriptedAnswer | None = None
        self.title: ScriptedAnswer = ScriptedAnswer(chunks=["A fine title"])
        self.summary: ScriptedAnswer = ScriptedAnswer(chunks=["They talked."])
        self.cut = 0

    async def reset(self) -> None:
        """End the answers that are still being given, and forget everything."""
        answering = [*self._answering]
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)
        self._forget()

    def say(self, *acts: ScriptedAnswer | str) -> None:
        """Add answers; a text is an answer in one chunk."""
        self.acts += [ScriptedAnswer(chunks=[act]) if isinstance(act, str) else act for act in acts]

    @property
    def asked(self) -> list[list[tuple[str, str]]]:
        """The messages of each request as role and content."""
        return [[(m["role"], m["content"]) for m in each["messages"]] for each in self.requests]

    def application(self) -> web.Application:
        """Return the server's application."""
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_post("/v1/chat/completions", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            return await self._complete(request)
        finally:
            self._answering.discard(task)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.keys.add(request.headers["Authorization"])
        self.times.append(time.monotonic())
        act = self._choose(body)
        if act.held is not None:
            await act.held.wait()
        if act.body is not None:
            kind = act.headers.get("Content-Type", "text/event-stream")
            if act.is_cut:
                return await self._cut(request, act.body)
            return web.Response(body=act.body, status=act.status, content_type=kind)
        if act.status != 200:
            error = {"error": {"message": f"no: {request.headers['Authorization']}"}}
            return web.json_response(error, status=act.status, headers=act.headers)
        return await self._stream(request, body, act)

    def _choose(self, body: dict[str, Any]) -> ScriptedAnswer:
        system = str(body["messages"][0]["content"])
        if TITLE_MARK in system or SUMMARY_MARK in system:
            self.behind.append(body)
            return self.title if TITLE_MARK in system else self.summary
        self.requests.append(body)
        if self.acts:
            return self.acts.popleft()
        return self.usual or ScriptedAnswer(chunks=[f"Answer {len(self.requests)}."])

    async def _cut(self, request: web.Request, body: bytes) -> web.StreamResponse:
        self.cut += 1
        assert request.transport is not None
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(body)
        request.transport.close()
        return response

    async def _stream(
        self, request: web.Request, body: dict[str, Any], act: ScriptedAnswer
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(act.first)
        for _ in range(act.thoughts):
            await self._say(response, body, {"reasoning_content": "hmm"})
            await asyncio.sleep(0.02)
        for each in act.reasoning:
            await self._say(response, body, each)
        while act.keep_alive:
            await response.write(act.keep_alive)
            await asyncio.sleep(0.02)
        for number, chunk in enumerate([*act.chunks, None]):
            if act.cut_after == number:
                self.cut += 1
                assert request.transport is not None
                request.transport.abort()
                return response
            if act.error_after == number:
                await response.write(b'data: {"error": {"message": "overloaded"}}\n\n')
                return response
            if chunk is None:
                break
            if number >= act.ungated and act.gate is not None:
                await act.gate.wait()
            await asyncio.sleep(act.pause)
            await self._say(response, body, {"content": chunk})
        await self._end(response, body, act)
        return response

    async def _end(
        self, response: web.StreamResponse, body: dict[str, Any], act: ScriptedAnswer
    ) -> None:
        for index, (name, arguments, *given) in enumerate(act.calls):
            half = len(arguments) // 2
            first = {"name": name, "arguments": arguments[:half]}
            begun = {"index": index, "id": given[0] if given else f"call-{index}"}
            begun["function"] = first
            await self._say(response, body, {"tool_calls": [begun]})
            rest = {"index": index, "function": {"arguments": arguments[half:]}}
            await self._say(response, body, {"tool_calls": [rest]})
        if act.ends:
            await self._say(response, body, {}, "tool_calls" if act.calls else "stop")
            if act.usage is not None:
                await self._send(response, body, {"choices": [], "usage": act.usage})
            await response.write(b"data: [DONE]\n\n")

    async def _say(
        self,
        response: web.StreamResponse,
        body: dict[str, Any],
        delta: dict[str, Any],
        reason: str | None = None,
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        await self._send(response, body, {"choices": [choice]})

    @staticmethod
    async def _send(
        response: web.StreamResponse, body: dict[str, Any], more: dict[str, Any]
    ) -> None:
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": body["model"],
            **more,
        }
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
