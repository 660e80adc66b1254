#!/usr/bin/env python3
"""Make the two users of the guides, `admin` and `testuser`; for development only."""

from _environment import enter

enter(__file__)

import argparse  # noqa: E402  # chatvault can be imported only from here on
import secrets  # noqa: E402  # the same
import sys  # noqa: E402  # the same

from chatvault.accounts import service  # noqa: E402  # the same
from chatvault.accounts.passwords import PasswordHasher  # noqa: E402  # the same
from chatvault.actor import Role  # noqa: E402  # the same
from chatvault.errors import AlreadyTaken, ChatvaultError  # noqa: E402  # the same
from chatvault.settings import Environment, load_settings  # noqa: E402  # the same
from chatvault.terminal import operator, out, run, say  # noqa: E402  # the same

USERS = (("admin", Role.ADMIN), ("testuser", Role.USER))


async def create(hasher: PasswordHasher, password: str | None) -> None:
    """Make those of the two that are missing, and print each password once."""
    for username, role in USERS:
        given = password or secrets.token_urlsafe(12)
        try:
            await service.create(
                operator(),
                hasher,
                username=username,
                email=f"{username}@example.com",
                password=given,
                role=role,
            )
        except AlreadyTaken:
            out.print(f"{username}: is there already; its password stays as it is")
        else:
            out.print(f"{username} ({role}): password {given}", markup=False)


def main() -> None:
    """Read the options, refuse production, make the users."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--password", help="for both; at least 8 characters")
    options = parser.parse_args()
    try:
        settings = load_settings()
        if settings.env is not Environment.DEVELOPMENT:
            sys.exit("chatvault: test users are for development only")
        if options.password is not None and len(options.password) < 8:  # noqa: PLR2004  # as said
            parser.error("--password: at least 8 characters")
        run(lambda: create(PasswordHasher(settings.bcrypt_rounds), options.password))
    except ChatvaultError as error:
        say(error.detail)
        sys.exit(1)


main()
