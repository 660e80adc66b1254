"""A tool as it is offered, its arguments, and its results."""

import hashlib
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic_core import to_json

from chatvault.commands.errors import InvalidCommand
from chatvault.errors import FieldError
from chatvault.external import McpServer, McpTool

# The tool that `execute-command` runs.
TERMINAL = "terminal_command"
MAX_NAME = 64  # OpenAI's limit
MAX_RESULT = 64 * 1024  # bytes
STRANGE = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool of a server.

    Attributes:
        name: under which it is offered, permitted and called; it depends on the settings only.
        server: the server's name in the settings.
        remote_name: the server's name for it.
        schema: the JSON Schema of its arguments.
        fixed: arguments that the operator set, added to every call.
    """

    name: str
    server: str
    remote_name: str
    description: str = ""
    schema: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)

    def function(self) -> dict[str, Any]:
        """Return the tool in OpenAI's shape."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": self.schema,
        }
        return {"type": "function", "function": function}

    def pin(self) -> dict[str, Any]:
        """Return what a command stores of its tool, so that it runs with no other.

        Without the arguments that the operator set: these may be secret, and the operator may
        change them.
        """
        shown = [self.remote_name, self.function()]
        digest = hashlib.sha256(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return {"server": self.server, "tool_hash": digest}


def describe(server: str, settings: McpServer, entry: dict[str, Any]) -> Tool:
    """Return a tool with the operator's settings applied.

    Args:
        server: the server's name.
        settings: the server's settings.
        entry: from the server's list, already checked.
    """
    told = settings.tools.get(entry["name"], McpTool())
    schema = dict(entry["inputSchema"])
    properties = dict(schema.get("properties") or {})
    # In the server's order, so that every process sends a model the same request.
    schema["properties"] = {
        key: each for key, each in properties.items() if key not in told.arguments
    }
    if (required := schema.pop("required", None)) is not None:
        schema["required"] = [key for key in required if key not in told.arguments]
    return Tool(
        name=told.name or offered_name(server, entry["name"]),
        server=server,
        remote_name=entry["name"],
        description=entry.get("description") or "",
        schema=schema,
        fixed=told.arguments,
    )


def offered_name(server: str, tool: str) -> str:
    """Return `server__tool`, shortened to what models' APIs accept.

    The server is always part of it, so that a permission never applies to another server's tool.
    """
    name = f"{server}__{tool}"
    fitting = STRANGE.sub("_", name)
    if fitting == name and len(name) <= MAX_NAME:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{fitting[: MAX_NAME - 9]}_{mark}"


def read_arguments(text: str) -> dict[str, Any] | None:
    """Parse the arguments that a model wrote; None if they are no JSON object."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def command_arguments(tool: Tool, command: str) -> dict[str, Any]:
    """Return the arguments that make the terminal tool run a command line.

    Servers differ in what they accept: a line, or a list of words.

    Raises:
        InvalidCommand: a quotation is not closed, or there is no word.
    """
    wanted = (tool.schema.get("properties") or {}).get("command") or {}
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        fault = FieldError(("body", "command"), "is no command line", "invalid_command")
        raise InvalidCommand(errors=(fault,))
    return {"command": words if wanted.get("type") == "array" else command}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a call.

    Attributes:
        code: the error's code; None if it succeeded.
        truncated: whether the text was longer than 64 KB.
    """

    text: str
    code: str | None = None
    truncated: bool = False


def read_result(answer: Any) -> Result:
    """Return a server's answer as text.

    Args:
        answer: the SDK's `CallToolResult`.
    """
    parts = [_text_of(block) for block in answer.content]
    if not parts and answer.structured_content is not None:
        # Not by orjson, which has no integers beyond 64 bits.
        parts = [to_json(answer.structured_content, inf_nan_mode="constants").decode()]
    return cut("\n".join(parts), code="tool_failed" if answer.is_error else None)


def cut(text: str, *, code: str | None = None) -> Result:
    """Return a result of at most 64 KB, marked if it was longer."""
    stored = text.encode("utf-8", "replace")
    if len(stored) <= MAX_RESULT:
        return Result(text=stored.decode(), code=code)
    return Result(text=stored[:MAX_RESULT].decode("utf-8", "ignore"), code=code, truncated=True)


def _text_of(block: Any) -> str:
    kind = str(block.type)
    if kind == "text":
        return str(block.text)
    if kind == "resource":
        text = getattr(block.resource, "text", None)
        return str(text) if text is not None else f"[resource {block.resource.uri}]"
    if kind == "resource_link":
        return f"[resource {block.uri}]"
    # A model gets text only; the type and size are better than nothing.
    return f"[{kind} {block.mime_type}, {len(block.data) * 3 // 4} bytes]"
