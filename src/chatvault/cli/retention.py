"""Retention at the command line, where an operator sets policies for roles."""

from typing import Annotated

import typer
from rich.table import Table

from chatvault.accounts.models import User
from chatvault.accounts.service import find_by_name_or_id
from chatvault.actor import Actor, Door, Role
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, run, validate
from chatvault.errors import NotFound
from chatvault.retention import service
from chatvault.retention.schemas import RetentionIn, RetentionOut, RetentionQuery

retention = typer.Typer(
    help="When conversations that nobody touched go to the trash.", no_args_is_help=True
)


@retention.command("set")
def set_retention(
    role: Annotated[Role, typer.Argument(help="whose conversations")],
    days: Annotated[int, typer.Argument(help="days without a change; 0 for no policy")],
) -> None:
    """Set the policy of all users with a role."""
    wanted = validate(RetentionIn, {"days": days or None}).days
    run(lambda: service.set_for_role(operator(), role=role, days=wanted))
    out.print(f"No policy for {role}." if wanted is None else f"{role}: {wanted} days.")


@retention.command("preview")
def preview(
    user: Annotated[str, typer.Argument(metavar="USER", help="username or id")],
    days: Annotated[int | None, typer.Option(help="as if these were the days")] = None,
) -> None:
    """Say what would go to a user's trash now; change nothing."""
    wanted = validate(RetentionQuery, {"days": days}).days

    async def look() -> RetentionOut:
        found: User | None = await find_by_name_or_id(user)
        if found is None:
            raise NotFound(f"There is no user {user!r}")
        actor = Actor(door=Door.CLI, user_id=found.id, role=found.role)
        return await service.get(actor, Recorder(), days=wanted)

    shown = run(look)
    table = Table("own days", "days of the role", "would go", box=None)
    table.add_row(str(shown.days or "none"), str(shown.role_days or "none"), str(shown.due))
    out.print(table)
