"""Accounts at the command line."""

import secrets
import sys
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.table import Table

from chatvault.accounts import service
from chatvault.accounts.models import User
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.schemas import NewPassword, RegisterIn, Username
from chatvault.actor import Role
from chatvault.administration import service as administration
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, run, validate
from chatvault.errors import InvalidInput, NotFound
from chatvault.fields import format_instant
from chatvault.settings import NEW_PASSWORD, load_settings

users = typer.Typer(help="Accounts, their roles and passwords.", no_args_is_help=True)

PasswordOption = Annotated[
    str | None, typer.Option(help="asked for if absent", envvar=NEW_PASSWORD)
]
GenerateOption = Annotated[
    bool, typer.Option("--generate", help="make a password and print it once")
]
ServiceOption = Annotated[
    bool, typer.Option("--service", help="for programs: no password, API keys alone")
]

NameArgument = Annotated[str, typer.Argument(metavar="USER", help="username or id")]


class _PasswordOption(BaseModel):
    password: NewPassword


class _NewName(BaseModel):
    new_username: Username


@users.command("create")
def create_user(
    username: str,
    email: Annotated[str | None, typer.Option(help="unique address; needed for a person")] = None,
    full_name: Annotated[str | None, typer.Option()] = None,
    role: Annotated[Role, typer.Option()] = Role.USER,
    password: PasswordOption = None,
    generate: GenerateOption = False,  # noqa: FBT002  # typer's way to make a flag
    service_account: ServiceOption = False,  # noqa: FBT002  # the same
) -> None:
    """Make an account."""
    if service_account:
        _refuse_beside_service(email, full_name, generate=generate)
        name = validate(_NewName, {"new_username": username}).new_username
        user = run(lambda: service.create_for_programs(operator(), username=name, role=role))
        out.print(f"Made {user.username} ({user.role}) for programs, id {user.id}.")
        out.print(f"Make its keys with: chatvault keys create {user.id} --name … --scope …")
        return
    if email is None:
        raise InvalidInput("A person's account needs --email; --service makes one for programs.")
    given = _password(password, generate=generate)
    wanted = validate(
        RegisterIn,
        {"username": username, "email": email, "password": given, "full_name": full_name},
    )
    hasher = PasswordHasher(load_settings().bcrypt_rounds)
    user = run(lambda: service.create(operator(), hasher, **wanted.model_dump(), role=role))
    out.print(f"Made {user.username} ({user.role}), id {user.id}.")
    if generate:
        out.print(f"Password, shown once: {given}")


def _refuse_beside_service(*given: str | None, generate: bool) -> None:
    if generate or any(value is not None for value in given):
        raise InvalidInput("--service goes with --role alone: nobody signs in to the account.")


def _password(given: str | None, *, generate: bool) -> str:
    if generate:
        return secrets.token_urlsafe(15)
    if given is None and not sys.stdin.isatty():
        raise InvalidInput(
            f"There is no terminal to ask for a password: use --generate or set {NEW_PASSWORD}"
        )
    if given is None:
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return str(given)


@users.command("list")
def list_users() -> None:
    """List all accounts."""
    table = Table("username", "role", "active", "email", "created", "last login", "id", box=None)
    for user in run(lambda: service.list_users(operator(), Recorder())):
        table.add_row(
            user.username,
            f"{user.role}, for programs" if user.is_service else user.role,
            "yes" if user.is_active else "no",
            user.email,
            format_instant(user.created_at),
            format_instant(user.last_login) if user.last_login else "never",
            str(user.id),
        )
    out.print(table)


@users.command("show")
def show_user(username: NameArgument) -> None:
    """Show an account, and the numbers of what it has."""

    async def show() -> administration.Shown:
        user = await _find(username)
        return await administration.get_user(operator(), Recorder(), user_id=user.id)

    shown = run(show)
    user, table = shown.user, Table(box=None, show_header=False)
    for name, value in (
        ("id", user.id),
        ("username", user.username),
        ("email", user.email),
        ("full name", user.full_name or ""),
        ("role", f"{user.role}, for programs" if user.is_service else user.role),
        ("active", "yes" if user.is_active else "no"),
        ("being erased", "no" if user.erasure is None else "yes"),
        ("created", format_instant(user.created_at)),
        ("last login", format_instant(user.last_login) if user.last_login else "never"),
        ("sessions", shown.sessions),
        ("API keys", shown.api_keys),
        ("conversations", shown.conversations),
        ("messages", f"{shown.messages}, {shown.bytes} bytes"),
    ):
        table.add_row(name, str(value))
    out.print(table)


async def _find(username: str) -> User:
    user = await service.find_by_name_or_id(username)
    if user is None:
        raise NotFound(f"There is no user {username!r}")
    return user


@users.command("reset-password")
def reset_password(username: NameArgument) -> None:
    """Make a token with which somebody sets a new password.

    It can be used once, within a day.
    """

    async def make() -> administration.Reset:
        user = await _find(username)
        return await administration.create_reset(operator(), user_id=user.id)

    made = run(make)
    out.print(
        f"Token, shown once: {made.token}",
        f"It is good for one use until {format_instant(made.expires_at)}, in a browser at:",
        f"/reset/{made.token}",
        sep="\n",
    )


@users.command("rename")
def rename(
    username: NameArgument,
    new_username: Annotated[str, typer.Argument(help="the name from now on")],
) -> None:
    """Give an account another name; its sessions and data stay."""
    wanted = validate(_NewName, {"new_username": new_username}).new_username
    user = run(lambda: service.rename(operator(), username=username, new_username=wanted))
    out.print(f"The account {user.id} is called {user.username} now.")


@users.command("set-role")
def set_role(username: NameArgument, role: Role) -> None:
    """Give an account a role, which ends its sessions."""
    user = run(lambda: service.change_role(operator(), username=username, role=role))
    out.print(f"{user.username} is {user.role} now.")


@users.command("set-password")
def set_password(
    username: NameArgument,
    password: PasswordOption = None,
    generate: GenerateOption = False,  # noqa: FBT002  # typer's way to make a flag
) -> None:
    """Set an account's password, which ends its sessions."""
    given = _password(password, generate=generate)
    validate(_PasswordOption, {"password": given})
    hasher = PasswordHasher(load_settings().bcrypt_rounds)
    user = run(lambda: service.set_password(operator(), hasher, username=username, password=given))
    out.print(f"{user.username} has a new password.")
    if generate:
        out.print(f"Password, shown once: {given}")


@users.command("deactivate")
def deactivate(username: NameArgument) -> None:
    """Close an account, which ends its sessions; its data stays."""
    _set_active(username, is_active=False)


@users.command("activate")
def activate(username: NameArgument) -> None:
    """Open a closed account again."""
    _set_active(username, is_active=True)


def _set_active(username: str, *, is_active: bool) -> None:
    user = run(lambda: service.set_active(operator(), username=username, is_active=is_active))
    out.print(f"{user.username} is {'active' if user.is_active else 'closed'} now.")
