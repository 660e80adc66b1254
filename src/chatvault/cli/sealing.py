"""Master keys, and converting content to its sealed or readable form, at the command line."""

from datetime import datetime

import typer
from rich.table import Table

from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import err, operator, out, run
from chatvault.conversations.converting import Converter, Progress, count_sealed
from chatvault.conversations.opening import load_store
from chatvault.documents import DOCUMENTS
from chatvault.errors import ChatvaultError
from chatvault.fields import format_instant
from chatvault.settings import InvalidSettings, Settings, Switch, load_settings
from chatvault.vault import service
from chatvault.vault.collections import list_sealed
from chatvault.vault.masters import MasterKeys, load_master_keys
from chatvault.vault.oplog import find_oldest_operation

EVERY = 100
master_keys = typer.Typer(
    help="Master keys, which wrap the keys of sealed content.",
    no_args_is_help=True,
)


class NotAllReadable(ChatvaultError):
    """Some content is still sealed."""

    code = "not_all_readable"


def _load_masters(settings: Settings) -> MasterKeys:
    masters = load_master_keys(settings)
    if masters is None:
        raise InvalidSettings(
            "CHATVAULT_MASTER_KEYS is not set: make a key with `openssl rand -hex 32`, keep a copy "
            "of it elsewhere, and set it for the service and for this command."
        )
    return masters


@master_keys.command("list")
def list_master_keys() -> None:
    """List the master keys that are given or used, by their ids."""
    masters = _load_masters(load_settings())
    table = Table("key", "given", "wraps data keys", "oldest of them", box=None)
    for each in run(lambda: service.list_masters(operator(), Recorder(), masters=masters)):
        given = "newest" if each.is_newest else "yes" if each.is_given else "NO"
        table.add_row(each.id, given, str(each.wraps), _format(each.oldest))
    out.print(table)


def _format(at: datetime | None) -> str:
    return "" if at is None else format_instant(at)


@master_keys.command("rotate")
def rotate_master_keys() -> None:
    """Wrap all data keys with the newest master key; no conversation is rewritten."""
    masters = _load_masters(load_settings())
    count = run(lambda: service.rotate(operator(), masters=masters))
    out.print(
        f"Wrapped {count} data keys with {masters.newest.id}.",
        "The other keys can be removed from CHATVAULT_MASTER_KEYS; backups from before need them.",
        sep="\n",
    )


def encrypt() -> None:
    """Seal what is stored readably; the service may run."""
    settings = load_settings()
    _load_masters(settings)
    if settings.sealing is Switch.OFF:
        raise InvalidSettings(
            "CHATVAULT_SEALING is off: set it to on, restart the service, and repeat this."
        )
    done, oldest = run(lambda: _convert(settings))
    _print_result("Sealed", done)
    since = f"the changes since {format_instant(oldest)}" if oldest else "earlier changes"
    out.print(
        f"Readable copies remain for now: in MongoDB's log of changes (the oplog), which has "
        f"{since}, until it has rolled past this moment; in free pages of its files, until each "
        "collection was compacted; and in every backup from before.",
    )


def decrypt() -> None:
    """Store what is sealed readably again; the service may run."""
    settings = load_settings()
    _load_masters(settings)
    if settings.sealing is Switch.ON:
        raise InvalidSettings(
            "CHATVAULT_SEALING is on: set it to off, restart the service, which otherwise seals "
            "what is new, and repeat this."
        )
    done, _ = run(lambda: _convert(settings))
    _print_result("Stored readably", done)
    if done.unreadable:
        raise NotAllReadable("Some documents do not open and stay sealed: keep the master keys.")
    out.print("Nothing is sealed any more: CHATVAULT_MASTER_KEYS can be unset. Keep a copy of it.")


async def _convert(settings: Settings) -> tuple[Progress, datetime | None]:
    actor, recorder = operator(), Recorder()
    others = list_sealed(DOCUMENTS)
    converter = Converter(load_store(settings, recorder), _show_progress, others=others)
    done = await converter.run(actor, recorder)
    is_decrypted = settings.sealing is Switch.OFF and not done.unreadable
    if is_decrypted and not await count_sealed(others):
        await service.retire_data_keys(actor)
    return done, await find_oldest_operation()


def _show_progress(progress: Progress) -> None:
    if progress.done % EVERY == 0 or progress.done == progress.users:
        err.print(f"{progress.done} of {progress.users} users, {progress.documents} documents")


def _print_result(what: str, done: Progress) -> None:
    out.print(f"{what} {done.documents} documents of {done.users} users.")
    for each in sorted(done.unreadable):
        out.print(f"does not open: {each}")
