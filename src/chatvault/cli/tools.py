"""Tools at the command line, the only place where they are granted."""

from typing import Annotated

import typer
from pydantic import BaseModel
from rich.table import Table

from chatvault.actor import Role
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, run, validate
from chatvault.commands import permissions
from chatvault.commands.schemas import ToolName
from chatvault.errors import InvalidInput

tools = typer.Typer(help="MCP tools, and who may use them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="as GET /mcp/tools names it, such as time__convert_time")]


class _Tool(BaseModel):
    tool: ToolName


@tools.command("list")
def list_tools() -> None:
    """List the tools that somebody may use."""
    table = Table("tool", "roles", "auto-approval", box=None)
    for grant in run(lambda: permissions.list_grants(operator(), Recorder())):
        table.add_row(
            grant["_id"], ", ".join(grant["roles"]), ", ".join(grant["auto_approve_roles"])
        )
    out.print(table)


@tools.command("allow")
def allow_tool(
    tool: Name,
    role: Annotated[list[Role], typer.Option(help="may use it; can be repeated")],
    auto_approve: Annotated[
        list[Role] | None,
        typer.Option(help="may have its calls approved by a rule of their own; can be repeated"),
    ] = None,
) -> None:
    """Let roles use a tool, and no other roles."""
    wanted = validate(_Tool, {"tool": tool}).tool
    auto = auto_approve or []
    if not set(auto) <= set(role):
        raise InvalidInput("--auto-approve is for roles that --role names too")
    run(lambda: permissions.grant(operator(), tool=wanted, roles=role, auto_approve_roles=auto))
    told = f", auto-approval by {', '.join(auto)}" if auto else ""
    out.print(f"{wanted}: {', '.join(role)}{told}.")


@tools.command("deny")
def deny_tool(tool: Name) -> None:
    """Let nobody use a tool."""
    wanted = validate(_Tool, {"tool": tool}).tool
    run(lambda: permissions.grant(operator(), tool=wanted, roles=(), auto_approve_roles=()))
    out.print(f"{wanted}: nobody.")
