#!/usr/bin/env python3
"""Make the two users of the guides, `admin` and `testuser`, or those that you name.

For development only. A frontend's sign-in page may advertise accounts of its own; name these with
the passwords that it shows:

    scripts/create_test_users.py --account admin:admin123 --account testuser:test123

Such a password may be shorter than the service itself would take. An account called admin gets
the role admin; --account NAME:PASSWORD:ROLE gives any other.
"""

from _environment import enter

enter(__file__)

import argparse  # noqa: E402  # chatvault can be imported only from here on
import secrets  # noqa: E402  # the same
import sys  # noqa: E402  # the same
from collections.abc import Sequence  # noqa: E402  # the same
from dataclasses import dataclass  # noqa: E402  # the same

from pydantic import TypeAdapter, ValidationError  # noqa: E402  # the same

from chatvault.accounts import service  # noqa: E402  # the same
from chatvault.accounts.passwords import PasswordHasher  # noqa: E402  # the same
from chatvault.accounts.schemas import Username  # noqa: E402  # the same
from chatvault.actor import Role  # noqa: E402  # the same
from chatvault.cli.terminal import err, operator, out, run, say  # noqa: E402  # the same
from chatvault.errors import ChatvaultError  # noqa: E402  # the same
from chatvault.settings import Environment, load_settings  # noqa: E402  # the same


@dataclass(frozen=True)
class Account:
    """A user to make; a password is made too where none is given."""

    username: str
    password: str | None
    role: Role


USERS = (("admin", Role.ADMIN), ("testuser", Role.USER))
ADVERTISED = (
    "If your frontend's sign-in page shows passwords of its own, make users that have them:",
    "  scripts/create_test_users.py --reset --account admin:admin123 --account testuser:test123",
)


def account(text: str) -> Account:
    """Read NAME:PASSWORD or NAME:PASSWORD:ROLE; a password may have colons if a role follows.

    Raises:
        ArgumentTypeError: it is neither, or the name is refused.
    """
    name, _, rest = text.partition(":")
    password, _, role = rest.rpartition(":")
    if role not in set(Role) or not password:
        password, role = rest, Role.ADMIN if name == "admin" else Role.USER
    if not password:
        raise argparse.ArgumentTypeError("expected NAME:PASSWORD or NAME:PASSWORD:ROLE")
    try:
        name = TypeAdapter(Username).validate_python(name)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(error.errors()[0]["msg"]) from None
    return Account(name, password, Role(role))


async def create(hasher: PasswordHasher, accounts: Sequence[Account], *, reset: bool) -> None:
    """Make those that are missing, and print each password once."""
    for each in accounts:
        password = each.password or secrets.token_urlsafe(12)
        there = await service.find_by_username(each.username)
        if there is None:
            await service.create(
                operator(),
                hasher,
                username=each.username,
                email=f"{each.username}@example.com",
                password=password,
                role=each.role,
            )
        elif reset:
            name = str(there.id)
            await service.set_password(operator(), hasher, username=name, password=password)
            await service.change_role(operator(), username=name, role=each.role)
        else:
            kept = "is there already; its password stays as it is, unless you say --reset"
            out.print(f"{each.username}: {kept}")
            continue
        out.print(f"{each.username} ({each.role}): password {password}")


def read_options() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--password", help="for both of the guides; at least 8 characters")
    parser.add_argument(
        "--account",
        action="append",
        type=account,
        metavar="NAME:PASSWORD[:ROLE]",
        help="instead of the two, this one, as a sign-in page advertises it; can be repeated",
    )
    parser.add_argument(
        "--reset", action="store_true", help="give accounts that are there the password and role"
    )
    options = parser.parse_args()
    if options.password is not None and len(options.password) < 8:  # noqa: PLR2004  # as said
        parser.error("--password: at least 8 characters")
    return options


def main() -> None:
    """Refuse production, make the users."""
    options = read_options()
    accounts = options.account or [Account(name, options.password, role) for name, role in USERS]
    try:
        settings = load_settings()
        if settings.env is not Environment.DEVELOPMENT:
            sys.exit("chatvault: test users are for development only")
        hasher = PasswordHasher(settings.bcrypt_rounds)
        run(lambda: create(hasher, accounts, reset=options.reset))
    except ChatvaultError as error:
        say(error.detail)
        sys.exit(1)
    if not options.account:
        err.print(*ADVERTISED, sep="\n")


main()
