"""The audit log at the command line."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from chatvault.accounts import service as accounts
from chatvault.audit.actions import Outcome
from chatvault.audit.models import Entry
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, raw_output, run, validate
from chatvault.encoding import to_json
from chatvault.errors import NotFound
from chatvault.fields import format_instant
from chatvault.review import export
from chatvault.review import service as review
from chatvault.review.schemas import (
    AuditExportQuery,
    AuditFilter,
    AuditQuery,
    AuditStatsQuery,
    ExportFormat,
    GroupBy,
    Order,
    entry_wire,
)

T = TypeVar("T")
F = TypeVar("F", bound=AuditFilter)
audit_log = typer.Typer(help="The audit log: who did what, when, from where.", no_args_is_help=True)

User = Annotated[str | None, typer.Option(help="username or user id")]
ActionName = Annotated[str | None, typer.Option(help="session.login, or a prefix: session.*")]
ResourceType = Annotated[str | None, typer.Option(help="such as conversation")]
ResourceId = Annotated[str | None, typer.Option(help="the id of what was acted on")]
OutcomeName = Annotated[Outcome | None, typer.Option()]
Address = Annotated[str | None, typer.Option(help="from where")]
RequestId = Annotated[str | None, typer.Option()]
Since = Annotated[str | None, typer.Option(help="such as 2026-01-31T10:00:00Z")]
Until = Annotated[str | None, typer.Option(help="the same, exclusive")]


@audit_log.command("list")
def list_entries(  # noqa: PLR0913, PLR0917  # one a filter
    user: User = None,
    action: ActionName = None,
    resource_type: ResourceType = None,
    resource_id: ResourceId = None,
    outcome: OutcomeName = None,
    address: Address = None,
    request_id: RequestId = None,
    since: Since = None,
    until: Until = None,
    order: Annotated[Order, typer.Option()] = Order.NEWEST,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,  # noqa: FBT002  # typer's way to make a flag
) -> None:
    """List entries, newest first."""
    given = dict(locals())
    query = validate(AuditQuery, _without(given, "user", "json"))
    entries = _run(
        user, query, lambda wanted: review.list_entries(operator(), Recorder(), query=wanted)
    )
    if json:
        for entry in entries:
            out.print(to_json(entry_wire(entry)).decode())
        return
    out.print(_table(entries))


@audit_log.command("stats")
def count_entries(  # noqa: PLR0913, PLR0917  # one a filter
    by: Annotated[GroupBy, typer.Option()] = GroupBy.ACTION,
    user: User = None,
    action: ActionName = None,
    resource_type: ResourceType = None,
    resource_id: ResourceId = None,
    outcome: OutcomeName = None,
    address: Address = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Count entries by action, outcome or user, or over time."""
    given = dict(locals())
    query = validate(AuditStatsQuery, _without(given, "user"))
    counts = _run(
        user, query, lambda wanted: review.count_entries(operator(), Recorder(), query=wanted)
    )
    table = Table(by.value, "entries", "denied", "failed", box=None)
    for row in counts:
        key = row["key"]
        shown = format_instant(key) if hasattr(key, "isoformat") else str(key or "nobody")
        table.add_row(shown, str(row["count"]), str(row["denied"]), str(row["failed"]))
    out.print(table)


@audit_log.command("export")
def export_entries(  # noqa: PLR0913, PLR0917  # one a filter
    to: Annotated[Path | None, typer.Option(help="a file; else standard output")] = None,
    format: Annotated[ExportFormat, typer.Option()] = ExportFormat.NDJSON,  # noqa: A002  # the option's name
    user: User = None,
    action: ActionName = None,
    resource_type: ResourceType = None,
    resource_id: ResourceId = None,
    outcome: OutcomeName = None,
    address: Address = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Export entries, oldest first, as NDJSON or CSV."""
    given = dict(locals())
    query = validate(AuditExportQuery, _without(given, "user", "to"))

    async def write(wanted: AuditExportQuery) -> int:
        batches = await review.export_entries(operator(), Recorder(), query=wanted)
        count = 0
        with raw_output(to) as write_lines:
            write_lines(export.head(wanted.format))
            async for entries in batches:
                write_lines(export.lines(entries, wanted.format))
                count += len(entries)
        return count

    count = _run(user, query, write)
    if to:
        out.print(f"{count} entries in {to}")


def _without(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _run(user: str | None, query: F, work: Callable[[F], Awaitable[T]]) -> T:
    """Do the work on the database, after replacing the user's name by the id.

    Raises:
        NotFound: there is no such user.
    """

    async def find_and_work() -> T:
        if user is None:
            return await work(query)
        found = await accounts.find_by_name_or_id(user)
        if found is None:
            raise NotFound(f"There is no user {user!r}.")
        return await work(query.model_copy(update={"user_id": found.id}))

    return run(find_and_work)


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
