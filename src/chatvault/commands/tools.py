"""A tool as it is offered, what it is given, and what came back."""

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

# What `execute-command` runs.
TERMINAL = "terminal_command"
MAX_NAME = 64  # OpenAI's bound
MAX_RESULT = 64 * 1024  # bytes
STRANGE = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool of a server.

    Attributes:
        name: under which it is offered, permitted and called; the same as long as the settings are.
        server: the server's name in the settings.
        remote_name: under which the server knows it.
        schema: of its arguments, as JSON Schema.
        fixed: arguments that the operator set.
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
        """Return what a command keeps of the tool that it is for, to run with no other.

        Not the arguments that the operator set: these may be secret, and are the operator's word.
        """
        shown = [self.remote_name, self.function()]
        digest = hashlib.sha256(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return {"server": self.server, "tool_hash": digest}


def describe(server: str, settings: McpServer, entry: dict[str, Any]) -> Tool:
    """Return a tool as the operator lets it be seen.

    Args:
        server: its name.
        settings: of the server.
        entry: of the server's list, which has been looked at.
    """
    told = settings.tools.get(entry["name"], McpTool())
    schema = dict(entry["inputSchema"])
    properties = dict(schema.get("properties") or {})
    # In the server's order, so that every process asks a model in the same words.
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
    """`server__tool`, within what models' APIs accept.

    The server is part of it always, so that a permission never comes to mean another's tool.
    """
    name = f"{server}__{tool}"
    fitting = STRANGE.sub("_", name)
    if fitting == name and len(name) <= MAX_NAME:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{fitting[: MAX_NAME - 9]}_{mark}"


def read_arguments(text: str) -> dict[str, Any] | None:
    """Arguments as a model wrote them; None where they are no JSON object."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def command_arguments(tool: Tool, command: str) -> dict[str, Any]:
    """Return the arguments that make the terminal tool run a command line.

    Servers differ in what they take: a line, or a list of words.

    Raises:
        InvalidCommand: a quotation does not end, or there is no word.
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
    """What came of a call.

    Attributes:
        code: why it failed; None where it did not.
        truncated: the text was longer than 64 KB.
    """

    text: str
    code: str | None = None
    truncated: bool = False


def read_result(answer: Any) -> Result:
    """Return what a server answered, as text.

    Args:
        answer: the SDK's `CallToolResult`.
    """
    parts = [_text_of(block) for block in answer.content]
    if not parts and answer.structured_content is not None:
        # Not by orjson, which has no integers beyond 64 bits.
        parts = [to_json(answer.structured_content, inf_nan_mode="constants").decode()]
    return cut("\n".join(parts), code="tool_failed" if answer.is_error else None)


def cut(text: str, *, code: str | None = None) -> Result:
    """Return a result of at most 64 KB, marked where it was longer."""
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
    # A model is shown text only; what it is and how large is better than nothing.
    return f"[{kind} {block.mime_type}, {len(block.data) * 3 // 4} bytes]"
