"""Listing the servers and tools."""

from dataclasses import asdict

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.commands import permissions
from chatvault.commands.deps import CommandDeps
from chatvault.fields import Raw


async def list_servers(actor: Actor, deps: CommandDeps) -> list[Raw]:
    """Return the servers of the settings, and their state in this process."""
    found = [
        {
            "name": server.name,
            "transport": server.transport,
            "state": server.state.value,
            "since": server.since,
            "failures": server.failures,
            "tools": len(server.tools),
            "left_out": [asdict(each) for each in server.left_out],
            "left_out_count": server.left_out_count,
        }
        for server in deps.servers
    ]
    await deps.recorder.record(
        audit.entry(actor, Action.TOOL_LIST_SERVERS, details={"servers": len(found)})
    )
    return found


async def list_tools(actor: Actor, deps: CommandDeps) -> list[Raw]:
    """Return the tools that can be called now, and what the actor may do with each."""
    allowed = await permissions.find(actor)
    found = [
        {
            "name": tool.name,
            "server": tool.server,
            "description": tool.description,
            "input_schema": tool.schema,
            "permitted": allowed.may_use(tool.name),
            "auto_approval_permitted": allowed.may_auto_approve(tool.name),
            "auto_approved": allowed.is_approved_by_rule(tool.name),
        }
        for tool in deps.servers.tools.values()
    ]
    await deps.recorder.record(audit.entry(actor, Action.TOOL_LIST, details={"tools": len(found)}))
    return found
