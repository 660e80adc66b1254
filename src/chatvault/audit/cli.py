"""The audit log at the command line."""

from typing import Annotated

import typer
from rich.table import Table

from chatvault.accounts import service as accounts
from chatvault.audit import service
from chatvault.audit.actions import Outcome
from chatvault.audit.recorder import Entry, Recorder
from chatvault.audit.schemas import AuditQuery, entry_wire
from chatvault.errors import NotFound
from chatvault.fields import format_instant
from chatvault.terminal import operator, out, run, validate
from chatvault.web import to_json

audit_log = typer.Typer(help="The audit log: who did what, when, from where.", no_args_is_help=True)


@audit_log.callback()
def _group() -> None:
    """Keep `list` a command of its own while it is the only one."""


@audit_log.command("list")
def list_entries(  # noqa: PLR0913, PLR0917  # one a filter
    user: Annotated[str | None, typer.Option(help="username or user id")] = None,
    action: Annotated[str | None, typer.Option(help="such as conversation.create")] = None,
    resource_type: Annotated[str | None, typer.Option(help="such as conversation")] = None,
    resource_id: Annotated[str | None, typer.Option(help="the id of what was acted on")] = None,
    outcome: Annotated[Outcome | None, typer.Option()] = None,
    since: Annotated[str | None, typer.Option(help="such as 2026-01-31T10:00:00Z")] = None,
    until: Annotated[str | None, typer.Option(help="the same, exclusive")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,  # noqa: FBT002  # typer's way to make a flag
) -> None:
    """List entries, newest first."""
    given = {
        "action": action,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "outcome": outcome,
        "since": since,
        "until": until,
        "limit": limit,
    }
    query = validate(AuditQuery, given)

    async def find() -> list[Entry]:
        wanted = query
        if user is not None:
            found = await accounts.find_by_name_or_id(user)
            if found is None:
                raise NotFound(f"There is no user {user!r}.")
            wanted = query.model_copy(update={"user_id": found.id})
        return await service.list_entries(operator(), Recorder(), query=wanted)

    entries = run(find)
    if json:
        for entry in entries:
            out.print(to_json(entry_wire(entry)).decode(), markup=False)
        return
    out.print(_table(entries))


def _table(entries: list[Entry]) -> Table:
    table = Table("at", "action", "outcome", "on", "by", "from", "ms", "request id", box=None)
    for entry in entries:
        table.add_row(
            format_instant(entry["at"]),
            entry["action"],
            entry["outcome"] if entry["code"] is None else f"{entry['outcome']} ({entry['code']})",
            entry["resource_id"] or "",
            str(entry["user_id"] or entry["door"]),
            entry["address"] or "",
            f"{entry['duration_ms']:.0f}",
            entry["request_id"],
        )
    return table
