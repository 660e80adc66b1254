"""API keys at the command line: the only way to make those of service accounts."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from chatvault.accounts import service as accounts
from chatvault.actor import Actor, Door, Scope
from chatvault.api_keys import service
from chatvault.api_keys.schemas import DAYS, ApiKeyIn, ApiKeyPath
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import out, run, validate
from chatvault.errors import InvalidInput, NotFound
from chatvault.fields import format_instant, now

T = TypeVar("T")
keys = typer.Typer(help="API keys, with which programs act for a user.", no_args_is_help=True)
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="username or id of the owner")]


@keys.command("create")
def create_key(
    user: UserArgument,
    name: Annotated[str, typer.Option(help="what the key is for")],
    scope: Annotated[
        list[Scope], typer.Option(help="what it may be used for; may be given several times")
    ],
    days: Annotated[int, typer.Option(help="days until it no longer works")] = DAYS,
) -> None:
    """Make an API key and print it, once."""
    fields = {"name": name, "scopes": scope, "expires_in_days": days}
    wanted = validate(ApiKeyIn, fields)
    created = _for_user(user, lambda actor: service.create(actor, None, wanted=wanted))
    out.print(f"Made the key {created.key.id}, good until {format_instant(created.key.expires_at)}")
    out.print(f"Key, shown once: {created.secret}")


@keys.command("list")
def list_keys(user: UserArgument) -> None:
    """List a user's API keys, and when each was last used."""
    table = Table("name", "begins", "scopes", "expires", "last used", "id", box=None)
    for key in _for_user(user, lambda actor: service.list_mine(actor, Recorder())):
        table.add_row(
            key.name,
            key.prefix,
            " ".join(key.scopes),
            format_instant(key.expires_at) if key.expires_at > now() else "expired",
            format_instant(key.last_used_at) if key.last_used_at else "never",
            str(key.id),
        )
    out.print(table)


@keys.command("revoke")
def revoke_key(
    user: UserArgument,
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="the key's id")] = None,
    all_keys: Annotated[bool, typer.Option("--all", help="all keys of the user")] = False,  # noqa: FBT002  # typer's way to make a flag
) -> None:
    """Revoke an API key, or all of a user's, at once."""
    if (key is None) is not all_keys:
        raise InvalidInput("Name one key by its id, or give --all.")
    if key is None:
        count = _for_user(user, service.revoke_all)
        out.print(f"Revoked {count} API key{'' if count == 1 else 's'}.")
        return
    key_id = validate(ApiKeyPath, {"key_id": key}).key_id
    _for_user(user, lambda actor: service.revoke(actor, key_id=key_id))
    out.print(f"Revoked the key {key_id}.")


def _for_user(name: str, work: Callable[[Actor], Awaitable[T]]) -> T:
    """Do the work as the operator, on what is the user's.

    Raises:
        NotFound: there is no such user.
    """

    async def with_actor() -> T:
        user = await accounts.find_by_name_or_id(name)
        if user is None:
            raise NotFound(f"There is no user {name!r}")
        return await work(Actor(door=Door.CLI, user_id=user.id, role=user.role))

    return run(with_actor)
