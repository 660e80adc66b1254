"""Servers of tools that send what they should not: others go on, and calls end soon."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chatvault.commands import bounds, connections, programs, servers
from chatvault.commands.bounds import InvalidAnswer
from chatvault.commands.listing import Selection
from chatvault.commands.servers import Servers, ServerState
from chatvault.external import McpServer, McpTool
from support.rawtools import OBJECT, RawServer, entry, look_again, result, said
from support.talking import until

LAG = 1.0  # seconds that nothing may hold up all others; by itself a message takes a tenth


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LOOK_EVERY", 60.0)
    monkeypatch.setattr(servers, "FIRST_WAIT", 0.02)


class Raw:
    """A server that says exactly what a test wants, and this process's connection to it."""

    def __init__(self, folder: Path) -> None:
        self.says = RawServer(folder)
        self.says.catalog(entry("t"))
        self.found = Servers({"raw": self.says.settings()}, timeout=20.0, log_dir=folder / "log")
        [self.server] = self.found

    async def call(self, line: bytes) -> Any:
        """What becomes of a call that is answered with a line."""
        self.says.answer("call", line)
        await until(lambda: self.server.state is ServerState.CONNECTED, 20.0)
        return await self.found.call(self.found.tools["raw__t"], {})

    async def look(self) -> None:
        """Wait until the server was asked for its tools again."""
        await look_again(self.server)


@pytest.fixture
async def raw(tmp_path: Path, quick: None) -> AsyncIterator[Raw]:
    raw = Raw(tmp_path / "raw")
    raw.found.open()
    await until(lambda: raw.server.state is ServerState.CONNECTED, 20.0)
    yield raw
    await raw.found.close()


class Heart:
    """Notes for how long the event loop did nothing else."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            # Processor time, as other processes' is no fault of ours.
            self.longest = max(self.longest, time.thread_time() - began)
            await asyncio.sleep(0.001)


@pytest.fixture
async def heart() -> AsyncIterator[Heart]:
    heart = Heart()
    task = asyncio.create_task(heart.beat())
    yield heart
    task.cancel()


class TestBytes:
    async def test_are_replaced_if_not_utf8(self, raw: Raw) -> None:
        found = await raw.call(said("a?b").replace(b"?", b"\xff"))

        assert (found.text, found.code) == ("a�b", None)

    async def test_are_replaced_if_half_of_a_surrogate_pair(self, raw: Raw) -> None:
        found = await raw.call(said("a?b").replace(b"?", rb"\ud83d"))

        assert (found.text, found.code) == ("a?b", None)

    async def test_are_skipped_if_no_message(self, raw: Raw) -> None:
        found = await raw.call(b"Listening on port 3000\n[INFO] one call\n\n" + said("yes"))

        assert (found.text, found.code) == ("yes", None)


class TestResults:
    async def test_are_never_checked_against_a_schema_of_the_server(
        self, raw: Raw, heart: Heart
    ) -> None:
        evil = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
        raw.says.catalog(entry("t", outputSchema=evil))
        await raw.look()

        structured = {"content": [], "structuredContent": {"a": "a" * 26 + "!"}}
        found = await raw.call(result(json.dumps(structured)))

        assert (found.code, "a!" in found.text) == (None, True)
        assert heart.longest < LAG

    @pytest.mark.parametrize(
        ("inner", "reason"),
        [
            ('{"type":"text","text":""},' * 300_000, "larger than 4 MB"),
            ("[]," * 300_000, "more than 50,000 values"),
            ('"",' * 300_000, "more than 50,000 values"),
            ('{"type":"text","text":""},' * 2_000, "more than 1,000 parts"),
            ("[" * 5_000 + "]" * 5_000 + ",", "no JSON"),
        ],
    )
    async def test_are_limited(self, raw: Raw, heart: Heart, inner: str, reason: str) -> None:
        found = await raw.call(result('{"content":[' + inner[:-1] + "]}"))

        assert found.code == "invalid_result"
        assert reason in found.text
        assert heart.longest < LAG
        assert (await raw.call(said("alive"))).text == "alive"

    async def test_may_be_a_large_text_with_many_commas(self, raw: Raw) -> None:
        found = await raw.call(said('1,2,"3",[4]\n' * 100_000))

        assert (found.code, found.truncated) == (None, True)
        assert found.text.startswith('1,2,"3",[4]\n1,2')

    async def test_may_hold_integers_of_any_size(self, raw: Raw) -> None:
        number = 10**40
        found = await raw.call(result(f'{{"content":[],"structuredContent":{{"n":{number}}}}}'))

        assert (json.loads(found.text), found.code) == ({"n": number}, None)

    @pytest.mark.parametrize(
        "line",
        [
            result("null"),
            result("[]"),
            result('{"content":{}}'),
            result('{"content":[{"type":"text"}]}'),
            result('{"content":[{"type":"text","text":"x","n":' + "9" * 5000 + "}]}"),
            b'{"id":ID,"result":{"content":[]}}',
            b'{"jsonrpc":"2.0","id":ID}',
            b'{"jsonrpc":"2.0","id":ID,"result":{"content":[',
            b'{"jsonrpc":"2.0","result":{"content":[]}}',
        ],
    )
    async def test_end_the_call_at_once_if_malformed(self, raw: Raw, line: bytes) -> None:
        async with asyncio.timeout(10):
            found = await raw.call(line)

        assert found.code == "invalid_result"
        assert (await raw.call(said("alive"))).text == "alive"

    @pytest.mark.parametrize("code", [-32000, -32001, -32700])
    async def test_keep_the_servers_text_if_errors(self, raw: Raw, code: int) -> None:
        error = {"code": code, "message": "the disk is on fire"}
        found = await raw.call(b'{"jsonrpc":"2.0","id":ID,"error":%b}' % json.dumps(error).encode())

        assert (found.text, found.code) == ("the disk is on fire", "tool_failed")
        assert raw.server.failures == 0

    async def test_are_read_after_a_refused_request_of_the_server(self, raw: Raw) -> None:
        found = await raw.call(b'{"jsonrpc":"2.0","id":9,"method":"roots/list"}\n' + said("well"))

        assert found.text == "well"


class TestLists:
    async def test_omit_tools_that_cannot_be_shown(
        self, raw: Raw, capsys: pytest.CaptureFixture[str]
    ) -> None:
        raw.says.answer(
            "list",
            result(
                '{"tools":['
                '{"name":"big","inputSchema":{"type":"object","properties":{"n":{"maximum":1%s}}}},'
                '{"name":"nan","inputSchema":{"type":"object","properties":{"n":{"maximum":NaN}}}},'
                '{"name":"list","inputSchema":[]},'
                '{"name":"wrong","inputSchema":{"type":"object","properties":[]}},'
                '{"name":"needs","inputSchema":{"type":"object","required":""}},'
                '{"name":7,"inputSchema":{"type":"object"}},'
                '{"name":"told","description":{},"inputSchema":{"type":"object"}},'
                '"no object",'
                '{"name":"good","inputSchema":{}},'
                '{"name":"good","inputSchema":{"type":"object"}}]}' % ("0" * 40)
            ),
        )
        await raw.look()

        assert list(raw.found.tools) == ["raw__good"]
        assert raw.found.tools["raw__good"].schema["type"] == "object"
        assert raw.server.left_out_count == 9
        told = {each.tool: each.reason for each in raw.server.left_out}
        assert "64 bits" in told["raw__big"]
        assert "not finite" in told["raw__nan"]
        assert told["number 6"] == "has no name"
        logged = capsys.readouterr().out
        assert logged.count("mcp_tools_left_out") == 1
        assert "raw__big has a schema" in logged

    async def test_are_limited(self, raw: Raw, heart: Heart) -> None:
        raw.says.catalog(*(entry(f"t{number}", description="x" * 100) for number in range(5_000)))
        await raw.look()

        assert len(raw.found.tools) == bounds.MAX_TOOLS
        assert raw.server.left_out_count == 5_000 - bounds.MAX_TOOLS
        assert len(raw.server.left_out) == 20
        assert heart.longest < LAG

    @pytest.mark.parametrize(
        "line",
        [
            result("{}"),
            result('{"tools":{}}'),
            result('{"tools":[],"nextCursor":5}'),
            result("[]"),
            b'{"jsonrpc":"2.0","id":ID,"result":{"tools":[',
        ],
    )
    async def test_remove_all_tools_if_malformed(
        self, raw: Raw, line: bytes, capsys: pytest.CaptureFixture[str]
    ) -> None:
        raw.says.answer("list", line)
        raw.server._look.set()

        await until(lambda: raw.server.failures > 0, 10.0)

        assert raw.found.tools == {}
        assert "mcp_server_down" in capsys.readouterr().out
        raw.says.catalog(entry("again"))
        await until(lambda: list(raw.found.tools) == ["raw__again"], 20.0)


class TestSelection:
    """The bounds that take many bytes to reach."""

    def take(self, *entries: Any) -> Selection:
        selection = Selection("lab", McpServer(url="http://x/", tools={"t": McpTool(name="go")}))
        selection.take(list(entries))
        return selection

    def test_limits_a_description(self) -> None:
        long = entry("t", description="x" * (bounds.MAX_DESCRIPTION + 1))

        [left_out] = self.take(long).left_out

        assert "description of more than 16,384 characters" in left_out.reason

    def test_limits_a_schema(self) -> None:
        [left_out] = self.take(entry("t", OBJECT | {"x": "y" * bounds.MAX_SCHEMA})).left_out

        assert "schema of more than 64 KB" in left_out.reason

    def test_limits_the_total_size(self) -> None:
        found = self.take(*(entry(f"t{n}", description="x" * 16_000) for n in range(40)))

        assert (len(found.tools), found.left_out_count) == (32, 8)
        assert "beyond the 512 KB" in found.left_out[0].reason

    def test_drops_tools_that_the_sdk_refuses(self) -> None:
        selection = self.take(entry("t"), entry("u"))

        selection.confirm({"u"})

        assert [tool.remote_name for tool in selection.tools] == ["u"]
        assert [each.tool for each in selection.left_out] == ["lab__t"]

    def test_does_not_log_a_name_that_is_free_text(self) -> None:
        [first, second] = self.take(entry("x" * 300), entry("\x1b[2J\n", [])).left_out

        assert first.tool == "number 1"
        assert second.tool.startswith("lab____2J__")


class TestLines:
    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"7",
            b"[INFO] started",
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
            b'"a text"',
        ],
    )
    def test_are_skipped_if_they_answer_no_request(self, line: bytes) -> None:
        assert programs.read_line(line) is None

    @pytest.mark.parametrize(
        "line", [b"{", b'{"id":true}', b'[{"jsonrpc":"2.0","id":1,"result":{}}]', b'{"a":1}']
    )
    def test_end_the_connection_if_they_match_no_request(self, line: bytes) -> None:
        with pytest.raises(InvalidAnswer):
            programs.read_line(line)


class TestHandshake:
    async def test_falls_back_and_is_repeated_with_a_slow_server(self) -> None:
        import mcp  # noqa: PLC0415  # takes most of a second, also of those who run other tests
        import mcp_types as types  # noqa: PLC0415  # the same

        asked: list[str] = []

        class Session:
            async def discover(self) -> None:
                asked.append("discover")
                if len(asked) == 1:
                    raise mcp.MCPError(code=types.REQUEST_TIMEOUT, message="timed out")

            async def initialize(self) -> None:
                asked.append("initialize")
                raise mcp.MCPError(code=types.UNSUPPORTED_PROTOCOL_VERSION, message="too old")

        session: Any = Session()
        await connections._initialize(session)

        assert asked == ["discover", "initialize", "discover"]


class TestPrograms:
    async def test_are_killed_if_they_do_not_end(self, tmp_path: Path, quick: None) -> None:
        """Stopping cancels again every fifth of a second, which must not interrupt the end."""
        stubborn = RawServer(tmp_path / "stubborn")
        stubborn.catalog()
        (stubborn.folder / "linger").touch()
        found = Servers({"s": stubborn.settings()}, timeout=1.0, log_dir=tmp_path / "log")
        found.open()
        await until(lambda: all(each.state is ServerState.CONNECTED for each in found), 20.0)
        pid = int((stubborn.folder / "pid").read_text())

        await found.close()

        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_are_reported_with_cause_and_log_if_they_cannot_start(
        self, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        broken = "import sys; print('no such module', file=sys.stderr); sys.exit(3)"
        wanted = {
            "broken": McpServer(command=sys.executable, args=("-c", broken)),
            "nowhere": McpServer(command=str(tmp_path / "nothing")),
        }
        found = Servers(wanted, timeout=1.0, log_dir=tmp_path / "log")
        found.open()
        await until(lambda: all(server.failures for server in found), 20.0)
        await found.close()

        logged = capsys.readouterr().out
        assert "its program ended with status 3 before it answered" in logged
        assert "No such file or directory" in logged
        assert str(tmp_path / "log" / "broken.log") in logged
        assert (tmp_path / "log" / "broken.log").read_text() == "no such module\n"

    async def test_are_noticed_at_once_if_they_end(self, raw: Raw) -> None:
        """Though the next look would be in a minute."""
        (raw.says.folder / "die").touch()
        found = await raw.call(said("farewell"))
        assert found.text == "farewell"

        await until(lambda: raw.server.failures > 0, 10.0)


class TestHttp:
    """The same over HTTP, where the SDK parses."""

    @pytest.fixture
    async def body(self, aiohttp_server: Any, quick: None, tmp_path: Path) -> AsyncIterator[Any]:
        """What becomes of a call that is answered with a body."""
        answers: list[Callable[[bytes], web.Response]] = []

        async def post(request: web.Request) -> web.Response:
            sent = await request.json()
            if "id" not in sent:
                return web.Response(status=202)
            fields = b'{"jsonrpc":"2.0","id":%d,' % sent["id"]
            said: Any = {"code": -32601, "message": "no"}
            if sent["method"] == "initialize":
                info = {"name": "raw", "version": "0"}
                said = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": info}
            elif sent["method"] == "tools/list":
                said = {"tools": [entry("t", outputSchema={"type": "object"})]}
            elif sent["method"] == "tools/call":
                return answers[-1](fields)
            kind = b'"error":' if "code" in said else b'"result":'
            text = fields + kind + json.dumps(said).encode() + b"}"
            return web.Response(body=text, content_type="application/json")

        app = web.Application()
        app.router.add_post("/mcp", post)
        server = await aiohttp_server(app)
        wanted = {"raw": McpServer(url=str(server.make_url("/mcp")))}
        found = Servers(wanted, timeout=10.0, log_dir=tmp_path)
        found.open()
        await until(lambda: all(each.state is ServerState.CONNECTED for each in found), 20.0)

        async def body(
            rest: bytes, before: bytes = b"", after: bytes = b"", *, encoding: str = "", **more: Any
        ) -> Any:
            more = {"content_type": "application/json"} | more
            if encoding:
                more["headers"] = {"Content-Encoding": encoding}
            answers.append(lambda fields: web.Response(body=before + fields + rest + after, **more))
            return await found.call(found.tools["raw__t"], {})

        yield body
        await found.close()

    async def test_accepts_well_formed_answers(self, body: Any) -> None:
        assert (await body(b'"result":{"content":[{"type":"text","text":"x"}]}}')).text == "x"

    @pytest.mark.parametrize(
        ("rest", "reason"),
        [
            (b'"result":{"content":[%b{}]}}' % (b"[]," * 60_000), "more than 50,000 values"),
            (b'"result":{"content":["%b"]}}' % (b"x" * 4_200_000), "larger than 4 MB"),
            (b'"result":{"content":[', "malformed"),
            (b'"result":[]}', "malformed"),
        ],
    )
    async def test_limits_a_body(self, body: Any, heart: Heart, rest: bytes, reason: str) -> None:
        found = await body(rest)

        assert (found.code, reason in found.text) == ("invalid_result", True)
        assert heart.longest < LAG

    async def test_refuses_compressed_bodies(self, body: Any) -> None:
        """A few bytes may be gigabytes then."""
        found = await body(b'"result":{"content":[]}}', encoding="gzip")

        assert (found.code, "sent a compressed body" in found.text) == ("invalid_result", True)

    async def test_limits_an_event(self, body: Any) -> None:
        large = b'"result":{"content":["%b"]}}' % (b"x" * 1_100_000)

        found = await body(large, b"data: ", b"\n\n", content_type="text/event-stream")

        assert found.code == "invalid_result"

    async def test_keeps_the_text_of_an_error(self, body: Any) -> None:
        error = b'"error":{"code":-32000,"message":"the disk is on fire"}}'

        for before, after, kind in [
            (b"", b"", "application/json"),
            (b"data: ", b"\n\n", "text/event-stream"),
        ]:
            found = await body(error, before, after, content_type=kind)
            assert (found.text, found.code) == ("the disk is on fire", "tool_failed")

    async def test_reports_a_stream_that_broke_off(self, body: Any) -> None:
        found = await body(b"", b": ", b"\n\n", content_type="text/event-stream")

        assert found.code == "connection_lost"
