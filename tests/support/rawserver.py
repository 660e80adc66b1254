"""An MCP server for tests that sends exactly the given bytes.

`python rawserver.py FOLDER` speaks over its standard streams: it answers `tools/list` with the line
in `FOLDER/list` and `tools/call` with the line in `FOLDER/call`, as they are at that moment. `ID`
in it stands for the request's id; without the file there is no answer. Calls are noted in
`FOLDER/notes`, and what they say beside their arguments in `FOLDER/metas`. With `FOLDER/die` it
ends after a call, with `FOLDER/linger` it does not end when its input does.
"""

import json
import os
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
(folder / "pid").write_text(str(os.getpid()))


def say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def answer(name: str, request_id: int) -> None:
    path = folder / name
    if path.exists():
        say(path.read_bytes().replace(b"ID", str(request_id).encode()))


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request or "method" not in request:
        continue
    head = b'{"jsonrpc":"2.0","id":%d,' % request["id"]
    if request["method"] == "initialize":
        info = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "raw", "version": "0"},
        }
        say(head + b'"result":' + json.dumps(info).encode() + b"}")
    elif request["method"] == "tools/list":
        answer("list", request["id"])
    elif request["method"] == "tools/call":
        with (folder / "notes").open("a") as notes:
            notes.write(json.dumps(request["params"]["name"]) + "\n")
        with (folder / "metas").open("a") as metas:
            metas.write(json.dumps(request["params"].get("_meta")) + "\n")
        answer("call", request["id"])
        if (folder / "die").exists():
            os._exit(3)
    else:
        say(head + b'"error":{"code":-32601,"message":"no such method"}}')

while (folder / "linger").exists():
    time.sleep(0.1)
