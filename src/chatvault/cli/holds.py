"""Legal holds at the command line."""

from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import typer
from bson import ObjectId
from rich.table import Table

from chatvault.accounts import service as accounts
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, raw_output, run, validate
from chatvault.conversations.opening import load_store
from chatvault.conversations.store import MessageStore
from chatvault.encoding import to_json
from chatvault.errors import NotFound
from chatvault.fields import Raw, format_instant
from chatvault.holds import reading_service, service
from chatvault.holds.schemas import HoldIn, HoldPath, HoldsQuery, held_message_wire, held_wire
from chatvault.settings import load_settings

PAGE = 500

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


@holds.command("export")
def export_hold(
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="its id")],
    to: Annotated[Path | None, typer.Option(help="a file; else standard output")] = None,
) -> None:
    """Export what a hold keeps as NDJSON: each conversation, followed by its messages."""
    hold_id = validate(HoldPath, {"hold_id": hold}).hold_id

    async def write() -> Counter[str]:
        recorder = Recorder()
        store = load_store(load_settings(), recorder)
        counts = Counter[str]()
        with raw_output(to) as write_lines:
            async for line in _lines(store, recorder, hold_id):
                counts[line["type"]] += 1
                write_lines(to_json(line) + b"\n")
        return counts

    counts = run(write)
    if to:
        told = f"{counts['conversation']} conversations, {counts['message']} messages"
        out.print(f"{told} in {to}")


async def _lines(store: MessageStore, recorder: Recorder, hold_id: ObjectId) -> AsyncGenerator[Raw]:
    """Yield each conversation that a hold keeps, and each of its messages after it."""
    after = None
    while found := await reading_service.list_conversations(
        operator(), store, recorder, hold_id=hold_id, after=after, limit=PAGE
    ):
        for conversation in found:
            conversation_id = after = conversation["_id"]
            shown = held_wire(conversation).model_dump(mode="python")
            yield {"type": "conversation", **shown}
            place = None
            while page := await reading_service.list_messages(
                operator(), store, recorder,
                hold_id=hold_id, conversation_id=conversation_id, after=place, limit=PAGE,
            ):  # fmt: skip
                for each in page:
                    shown = held_message_wire(each)
                    yield {"type": "message", "conversation_id": conversation_id, **shown}
                place = page[-1].place


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
