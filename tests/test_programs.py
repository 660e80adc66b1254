"""Other people's programs start, from where `scripts/test-programs` put them."""

import json
import subprocess
from collections.abc import Callable

import pytest

from support import programs

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}


class TestServers:
    @pytest.mark.parametrize(
        "command",
        [programs.time_server, programs.shell_server, programs.everything_server],
    )
    def test_support_mcp(self, command: Callable[[], list[str]]) -> None:
        # Nothing on PATH: what they need lies beside them.
        process = subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"ALLOW_COMMANDS": "ls"},
            text=True,
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(HELLO) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            process.kill()

        assert answer["id"] == 1
        assert "tools" in answer["result"]["capabilities"]
