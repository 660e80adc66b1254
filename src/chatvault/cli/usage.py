"""Usage of all users at the command line."""

from typing import Annotated

import typer
from rich.table import Table

from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, run, validate
from chatvault.fields import Raw
from chatvault.usage import review
from chatvault.usage.schemas import UsageBy, UsageQuery, cursor_after

PAGE = 1000
COUNTS = ("input_tokens", "output_tokens", "total_tokens", "requests", "messages", "bytes")


def show_usage(
    by: Annotated[UsageBy, typer.Option(help="what a line is")] = UsageBy.USER,
    user: Annotated[str | None, typer.Option(help="username or id")] = None,
    since: Annotated[str | None, typer.Option("--from", help="first day: 2026-11-01")] = None,
    until: Annotated[str | None, typer.Option("--to", help="last day")] = None,
    days: Annotated[int, typer.Option(help="how far back, without --from")] = 30,
) -> None:
    """Show tokens, messages and bytes of all users by day (UTC)."""
    asked = {"by": by, "user": user, "from": since, "to": until, "days": days, "limit": PAGE}
    query = validate(UsageQuery, asked)

    async def count() -> list[Raw]:
        page = found = await review.count_usage(operator(), Recorder(), query=query)
        while by is not UsageBy.DAY and len(page) == PAGE:
            after = validate(UsageQuery, {**asked, "cursor": cursor_after(by, page[-1])})
            page = await review.count_usage(operator(), Recorder(), query=after)
            found = found + page
        return found

    table = Table("user", "day", *(name.replace("_", " ") for name in COUNTS), box=None)
    for row in run(count):
        name = row["username"] or row["user_id"] or "all"
        table.add_row(str(name), row["day"] or "", *(str(row[each]) for each in COUNTS))
    out.print(table)
