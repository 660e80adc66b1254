"""Request and response schemas of commands and tools."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from chatvault.commands.errors import CommandNotFound, ToolNotFound
from chatvault.commands.models import Status
from chatvault.commands.servers import ServerState
from chatvault.conversations.message_schemas import CommandOnMessage
from chatvault.conversations.schemas import ConversationPath
from chatvault.fields import Id, Instant

MAX_COMMAND = 8192
ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


# An enum without a name in the API, as a conversation's status has that name.
SoFar = Annotated[Status, WithJsonSchema({"type": "string", "enum": [*Status]})]


class CommandPath(ConversationPath):
    """One command, which is looked for in one conversation."""

    absent: ClassVar = CommandNotFound
    command_id: Id


class CommandQuery(BaseModel):
    """The query of a list of commands."""

    model_config = ConfigDict(extra="forbid")

    status: SoFar | None = Field(None, description="only those that are so far")


class CommandIn(BaseModel):
    """A command line."""

    model_config = ConfigDict(extra="forbid")

    command: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_COMMAND)
    ]


class CommandOut(CommandOnMessage):
    """A command and its status.

    Attributes:
        reply_id: the reply that waits for it and continues with its result.
    """

    conversation_id: Id
    message_id: str
    reply_id: Id | None


class LeftOutTool(BaseModel):
    """A tool that a server has and that is not offered.

    Attributes:
        tool: under which name it would be, or its place in the server's list.
        reason: a clause, such as `has a schema of more than 64 KB`.
    """

    tool: str
    reason: str


class ServerOut(BaseModel):
    """A server of tools.

    Attributes:
        since: when it came to be in this state.
        failures: attempts to connect that failed since it last was.
        left_out: the first 20 of its tools that cannot be offered.
        left_out_count: how many cannot.
    """

    name: str
    transport: str
    state: ServerState
    since: Instant
    failures: int
    tools: int
    left_out: list[LeftOutTool]
    left_out_count: int


class ToolOut(BaseModel):
    """A tool that can be called.

    Attributes:
        name: under which it is offered to models, granted to roles and named in rules.
        permitted: the reader's role may use it.
        auto_approval_permitted: the reader may set a rule that approves its calls.
        auto_approved: such a rule is set, and holds.
    """

    name: str
    server: str
    description: str
    input_schema: dict[str, Any]
    permitted: bool
    auto_approval_permitted: bool
    auto_approved: bool


class RulePath(BaseModel):
    """One tool."""

    absent: ClassVar = ToolNotFound
    tool: ToolName


class RuleOut(BaseModel):
    """A rule that approves the calls of a tool.

    Attributes:
        is_effective: false where an administrator took the permission away since.
    """

    tool: str
    created_at: Instant
    is_effective: bool
