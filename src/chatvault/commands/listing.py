"""Select the tools of a server's list that can be offered, and report the others."""

from dataclasses import dataclass
from typing import Any

import orjson

from chatvault.commands import bounds
from chatvault.commands.bounds import InvalidAnswer
from chatvault.commands.tools import Tool, describe, offered_name
from chatvault.external import McpServer
from chatvault.fields import Raw

MAX_TOLD = 20


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A tool that is not offered.

    Attributes:
        tool: the name that it would have, or its place in the list.
        reason: a clause without any text of the server's.
    """

    tool: str
    reason: str


class Selection:
    """The tools of a server that can be offered, collected from the pages of its list.

    Args:
        server: the server's name in the settings.
        settings: the server's settings.

    Attributes:
        left_out: the first that cannot be offered.
        left_out_count: how many cannot.
        is_full: whether no more can be added.
    """

    def __init__(self, server: str, settings: McpServer) -> None:
        self._server = server
        self._settings = settings
        self._tools: dict[str, Tool] = {}
        self._page: set[str] = set()
        self._bytes = 0
        self._seen = 0
        self.left_out: list[LeftOut] = []
        self.left_out_count = 0
        self.is_full = False

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that can be offered, in the server's order."""
        return tuple(self._tools.values())

    def take(self, entries: object) -> list[Raw]:
        """Add a page of the list; return the usable entries, as the protocol has them.

        Raises:
            InvalidAnswer: the page is no list.
        """
        if not isinstance(entries, list):
            raise InvalidAnswer("sent a list of tools that is none")
        self._page = set()
        taken = []
        for entry in entries:
            self._seen += 1
            reason = find_fault(entry) or self._add(entry)
            if reason is not None:
                self._leave_out(entry, reason)
                continue
            self._page.add(entry["name"])
            taken.append(_plain(entry))
        return taken

    def _add(self, entry: Raw) -> str | None:
        if entry["name"] in self._tools:
            return "has the name of another tool of this server"
        if len(self._tools) >= bounds.MAX_TOOLS:
            self.is_full = True
            return f"comes after the {bounds.MAX_TOOLS} tools that a server may have"
        tool = describe(self._server, self._settings, _plain(entry))
        size = len(orjson.dumps(tool.function()))
        if self._bytes + size > bounds.MAX_LISTED:
            return f"is beyond the {bounds.MAX_LISTED // 1024} KB that a server's tools may take"
        self._bytes += size
        self._tools[entry["name"]] = tool
        return None

    def confirm(self, names: set[str]) -> None:
        """Remove the last page's tools whose annotations the SDK refuses."""
        for name in self._page - names:
            del self._tools[name]
            self._leave_out({"name": name}, "has a malformed x-mcp-header")

    def _leave_out(self, entry: object, reason: str) -> None:
        self.left_out_count += 1
        if len(self.left_out) < MAX_TOLD:
            name = entry.get("name") if isinstance(entry, dict) else None
            named = isinstance(name, str) and 0 < len(name) <= bounds.MAX_REMOTE_NAME
            shown = offered_name(self._server, str(name)) if named else f"number {self._seen}"
            self.left_out.append(LeftOut(shown, reason))


def _plain(entry: Raw) -> Raw:
    # Not its `outputSchema`: nothing is validated by it.
    schema = {"type": "object", **entry["inputSchema"]}
    plain = {"name": entry["name"], "inputSchema": schema}
    return (
        plain if entry.get("description") is None else plain | {"description": entry["description"]}
    )


def find_fault(entry: object) -> str | None:
    """Return why an entry of a list cannot be offered as a tool, as a clause; or None."""
    if not isinstance(entry, dict):
        return "is no object"
    name, description = entry.get("name"), entry.get("description")
    if not isinstance(name, str) or not name:
        return "has no name"
    if len(name) > bounds.MAX_REMOTE_NAME:
        return f"has a name of more than {bounds.MAX_REMOTE_NAME} characters"
    if description is not None and not isinstance(description, str):
        return "has a description that is no text"
    if len(description or "") > bounds.MAX_DESCRIPTION:
        return f"has a description of more than {bounds.MAX_DESCRIPTION:,} characters"
    return _find_schema_fault(entry.get("inputSchema"))


def _find_schema_fault(schema: Any) -> str | None:
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return "takes arguments that are no object"
    if not _is_well_formed(schema):
        return "has a malformed schema"
    try:
        written = orjson.dumps(schema)
    except TypeError:
        return "has a schema with a number of more than 64 bits, or nested too deep"
    if len(written) > bounds.MAX_SCHEMA:
        return f"has a schema of more than {bounds.MAX_SCHEMA // 1024} KB"
    if orjson.loads(written) != schema:
        return "has a schema with a number that is not finite"
    return None


def _is_well_formed(schema: Raw) -> bool:
    """Whether the parts of a schema that are used here are valid JSON Schema."""
    given = {key: value for key, value in schema.items() if value is not None}
    properties, required = given.get("properties", {}), given.get("required", [])
    return (
        isinstance(given.get("$schema", ""), str)
        and isinstance(properties, dict)
        and all(isinstance(each, dict | bool) for each in properties.values())
        and isinstance(required, list)
        and all(isinstance(each, str) for each in required)
    )
