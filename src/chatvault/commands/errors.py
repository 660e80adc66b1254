"""The errors of tools and commands."""

from chatvault.errors import Conflict, Denied, InvalidInput, NotFound, Unavailable


class CommandNotFound(NotFound):
    """Command not found."""


class ToolNotFound(NotFound):
    """You have no rule for a tool of this name; GET /mcp/rules lists those that you have."""

    code = "tool_not_found"


class ToolNotPermitted(Denied):
    """Your role may not use this tool; an operator grants it at the command line."""

    code = "tool_not_permitted"


class AutoApprovalNotPermitted(Denied):
    """Your role may not let a rule approve this tool; an operator grants that apart."""

    code = "auto_approval_not_permitted"


class McpNotEnabled(Conflict):
    """Tools are off in this conversation; switch `mcp_enabled` on first."""

    code = "mcp_not_enabled"


class CommandSettled(Conflict):
    """This command was decided otherwise before."""

    code = "command_settled"


class CommandSuperseded(Conflict):
    """The conversation has gone on since the model wanted this."""

    code = "command_superseded"


class TooManyCommands(Conflict):
    """This message has as many commands as one may have; send a new message."""

    code = "too_many_commands"


class InvalidCommand(InvalidInput):
    """The command cannot be read as a command line."""

    code = "invalid_command"


class ServerUnavailable(Unavailable):
    """The server of this tool cannot be reached now; try again later."""

    code = "mcp_server_unavailable"
