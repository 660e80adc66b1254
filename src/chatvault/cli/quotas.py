"""Limits of roles, users and API keys at the command line."""

from typing import Annotated

import typer
from rich.table import Table

from chatvault.accounts import service as accounts
from chatvault.actor import Role
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import operator, out, run, validate
from chatvault.errors import InvalidInput, NotFound
from chatvault.fields import Raw
from chatvault.limits import LimitName
from chatvault.quotas import service
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.models import KEY_MARK, Subject
from chatvault.quotas.schemas import QuotaIn, QuotaPath

PAGE = 1000
NONE = "none"
quotas = typer.Typer(
    help="Limits of requests, messages, bytes and tokens.",
    no_args_is_help=True,
)
WHOSE = "a role, a user's name or id, or key: and the id of an API key"


@quotas.command("show")
def show_quotas(
    subject: Annotated[str | None, typer.Argument(metavar="[WHOSE]", help=WHOSE)] = None,
) -> None:
    """Show the limits of a role, a user or an API key, or of all that have any."""

    async def show() -> list[Raw]:
        if subject is None:
            return await _list()
        found = await _find(subject)
        return [await service.get_quota(operator(), Recorder(), subject=found)]

    table = Table("whose", *LimitName, box=None)
    for quota in run(show):
        limits = [str(quota["limits"].get(name, NONE)) for name in LimitName]
        table.add_row(quota["_id"], *limits)
    out.print(table)


async def _list() -> list[Raw]:
    found: list[Raw] = []
    after: str | None = None
    while page := await service.list_quotas(operator(), Recorder(), after=after, limit=PAGE):
        found += page
        after = page[-1]["_id"]
    return found


@quotas.command("set")
def set_quota(
    subject: Annotated[str, typer.Argument(metavar="WHOSE", help=WHOSE)],
    limits: Annotated[
        list[str],
        typer.Argument(metavar="LIMIT=AMOUNT…", help="such as writes_per_minute=600; none for no"),
    ],
) -> None:
    """Set limits; those that are not named stay. The service follows within some seconds."""
    given = dict(_read(each) for each in limits)
    validate(QuotaIn, given)

    async def change() -> Raw:
        found = await _find(subject)
        before = await service.get_quota(operator(), Recorder(), subject=found)
        wanted = validate(QuotaIn, {**before["limits"], **given})
        return await service.set_quota(operator(), QuotaBook(), subject=found, wanted=wanted)

    shown = run(change)["limits"]
    told = ", ".join(f"{name}={amount}" for name, amount in shown.items())
    out.print(f"{subject}: {told or 'no limits'}.")


def _read(text: str) -> tuple[str, str | None]:
    name, separator, amount = text.partition("=")
    if not separator or name not in {each.value for each in LimitName}:
        known = ", ".join(LimitName)
        raise InvalidInput(f"{text!r} is no LIMIT=AMOUNT; the limits are {known}.")
    return name, None if amount == NONE else amount


async def _find(text: str) -> Subject:
    """Return the subject: a user by name, too.

    Raises:
        NotFound: there is no such user.
    """
    if text not in {role.value for role in Role} and not text.startswith(KEY_MARK):
        user = await accounts.find_by_name_or_id(text)
        if user is None:
            raise NotFound(f"There is no role or user {text!r}")
        return Subject(user_id=user.id)
    found: Subject = validate(QuotaPath, {"subject": text}).subject
    return found
