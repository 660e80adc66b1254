"""Erasures of accounts at the command line."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from chatvault.accounts import service as accounts
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, run
from chatvault.erasure import service
from chatvault.erasure.schemas import ErasureOut
from chatvault.errors import InvalidInput
from chatvault.fields import format_instant

erasing = typer.Typer()


@erasing.command("erase")
def erase(
    username: Annotated[str, typer.Argument(metavar="USER", help="username or id")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,  # noqa: FBT002  # typer's way to make a flag
) -> None:
    """Erase an account with all it has; this cannot be undone.

    The service carries it out, once it runs; `chatvault users erasures` tells how far it is.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidInput("There is no terminal to ask whether to erase: use --yes")
        user = run(lambda: accounts.get_by_name_or_id(username))
        question = f"Erase {user.username} ({user.email}) with everything stored of them?"
        typer.confirm(question, abort=True)
    begun = run(lambda: service.begin(operator(), username=username))
    shown = ErasureOut.of(begun.erasure)
    out.print(
        f"The account is closed, and is being erased. The erasure's id is {shown.id}.",
        f"Its token, shown once, lets the person read how far it is: {begun.token}",
        "See how far it is with: chatvault users erasures",
        sep="\n",
    )


@erasing.command("erasures")
def list_erasures() -> None:
    """List erasures, the newest first, with what they removed."""
    table = Table("id", "state", "began", "removed", "final", "documents", "files left", box=None)
    for each in run(lambda: service.list_all(operator(), Recorder())):
        shown = ErasureOut.of(each)
        table.add_row(
            str(shown.id),
            shown.state,
            format_instant(shown.started_at),
            format_instant(shown.removed_at) if shown.removed_at else "not yet",
            _final(shown),
            str(sum(shown.counts.values())),
            str(shown.files_left),
        )
    out.print(table)


def _final(shown: ErasureOut) -> str:
    """Return when an erasure became final, or when that is expected."""
    if shown.ended_at is not None:
        return format_instant(shown.ended_at)
    if shown.final_at is None:
        return "unknown" if shown.removed_at else "not yet"
    return f"expected {format_instant(shown.final_at)}"
