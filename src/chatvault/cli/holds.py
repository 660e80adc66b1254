"""Legal holds at the command line."""

from typing import Annotated

import typer
from bson import ObjectId
from rich.table import Table

from chatvault.accounts import service as accounts
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, run, validate
from chatvault.errors import NotFound
from chatvault.fields import Raw, format_instant
from chatvault.holds import service
from chatvault.holds.schemas import HoldIn, HoldPath, HoldsQuery

holds = typer.Typer(
    help="Legal holds, which keep conversations from being deleted.",
    no_args_is_help=True,
)
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="username or id")]


async def _find_user(name: str) -> ObjectId:
    user = await accounts.find_by_name_or_id(name)
    if user is None or user.id is None:
        raise NotFound(f"There is no user {name!r}")
    return user.id


@holds.command("add")
def add_hold(
    user: UserArgument,
    reason: Annotated[str, typer.Option(help="such as the number of a case")],
    conversation: Annotated[str | None, typer.Option(help="id of the only one to keep")] = None,
) -> None:
    """Place a hold of all conversations of a user, or of one."""

    async def place() -> Raw:
        fields = {"conversation_id": conversation, "reason": reason}
        wanted = validate(HoldIn, {"user_id": await _find_user(user), **fields})
        return await service.place(operator(), wanted=wanted)

    out.print(f"Placed the hold {run(place)['_id']}.")


@holds.command("lift")
def lift_hold(hold: Annotated[str, typer.Argument(metavar="HOLD", help="its id")]) -> None:
    """Lift a hold; what was kept only because of it is deleted in the background."""
    hold_id = validate(HoldPath, {"hold_id": hold}).hold_id
    run(lambda: service.lift(operator(), hold_id=hold_id))
    out.print(f"Lifted the hold {hold_id}.")


@holds.command("list")
def list_holds(
    lifted: Annotated[bool, typer.Option("--lifted", help="those that were lifted, too")] = False,  # noqa: FBT002  # typer's way to make a flag
) -> None:
    """List holds, those placed last first."""
    query = validate(HoldsQuery, {"limit": 1000, "lifted": lifted})
    table = Table("user", "conversation", "reason", "placed", "lifted", "id", box=None)
    for each in run(lambda: service.list_holds(operator(), Recorder(), query=query)):
        table.add_row(
            str(each["user_id"]),
            str(each["conversation_id"] or "all"),
            each["reason"],
            format_instant(each["placed_at"]),
            format_instant(each["lifted_at"]) if each["lifted_at"] else "no",
            str(each["_id"]),
        )
    out.print(table)
