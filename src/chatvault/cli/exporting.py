"""`chatvault export`: a user's conversations as a file."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from chatvault.accounts import service as accounts
from chatvault.actor import Actor, Door
from chatvault.attachments.files import open_store
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import err, is_terminal, run, validate
from chatvault.conversations.opening import load_store
from chatvault.errors import InvalidInput, NotFound
from chatvault.exporting import service
from chatvault.exporting.pdf.fonts import lacking
from chatvault.exporting.pdf.typesetter import (
    INSTALL,
    PdfNotInstalled,
    Typesetter,
    find_missing_scripts,
    is_installed,
)
from chatvault.exporting.records import Counts
from chatvault.exporting.schemas import ConversationFormat, ExportManyQuery, WithAttachments
from chatvault.exporting.service import Export
from chatvault.exporting.turns import ExportDeps
from chatvault.keys import load_secret_key
from chatvault.settings import load_settings


def export(
    username: Annotated[str, typer.Option(help="whose conversations: a username or an id")],
    format: Annotated[ConversationFormat | None, typer.Option(help="json by default")] = None,  # noqa: A002  # the option's name
    output: Annotated[
        Path | None, typer.Option(help="a file, or a directory to make it in; else standard output")
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="only this conversation; may be repeated")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="only conversations created after this one, to continue an export to a pipe"
        ),
    ] = None,
    everything: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool, typer.Option("--everything", help="all about the user, as a ZIP")
    ] = False,
    attachments: Annotated[
        bool | None,
        typer.Option(help="the bytes of attachments; by default only in ZIPs of markdown and html"),
    ] = None,
) -> None:
    """Export a user's conversations.

    As json, ndjson, markdown, html, openai, sharegpt or pdf. A file that is there already is
    replaced once the new one is whole.
    """
    others = (format, ids or None, after, attachments)
    if everything and any(each is not None for each in others):
        raise InvalidInput(
            "--everything takes neither --format nor --id nor --after nor --attachments."
        )
    wanted = {"format": format or ConversationFormat.JSON, "ids": ids or None, "after": after}
    if attachments is not None:
        wanted["attachments"] = WithAttachments.INCLUDE if attachments else WithAttachments.OMIT
    query = validate(ExportManyQuery, wanted)
    if output is None and is_terminal():
        raise InvalidInput("Give --output FILE, or send the output into a pipe.")
    if query.format is ConversationFormat.PDF:
        if not is_installed():
            raise PdfNotInstalled(f"PDF needs typst: {INSTALL}.")
        if missing := find_missing_scripts():
            err.print(lacking(missing))
    place = _place(output)
    where, counts = run(lambda: _export(username, query, place, everything=everything))
    _print_summary(where, counts)


def _place(output: Path | None) -> Callable[[str], Path | None]:
    """Return what makes the file's path of the name that it has by itself.

    Raises:
        InvalidInput: there is no such directory.
    """
    if output is None:
        return lambda _: None
    if output.is_dir():
        return output.joinpath
    if not output.parent.is_dir():
        raise InvalidInput(f"There is no directory {output.parent}.")
    return lambda _: output


async def _export(
    username: str,
    query: ExportManyQuery,
    place: Callable[[str], Path | None],
    *,
    everything: bool,
) -> tuple[Path | None, Counts]:
    user = await accounts.find_by_name_or_id(username)
    if user is None:
        raise NotFound(f"There is no user {username!r}.")
    actor = Actor(door=Door.CLI, user_id=user.id, role=user.role)
    async with Typesetter() as typesetter:
        settings = load_settings()
        files = open_store(settings, load_secret_key(settings))
        recorder = Recorder()
        store = load_store(settings, recorder)
        deps = ExportDeps(store, recorder, typesetter, files=files)
        made = await _begin(actor, deps, query, everything=everything)
        async with contextlib.aclosing(made.chunks):
            where = place(made.name)
            with _open(where) as write:
                async for chunk in made.chunks:
                    write(chunk)
        return where, made.counts


async def _begin(
    actor: Actor, deps: ExportDeps, query: ExportManyQuery, *, everything: bool
) -> Export:
    if everything:
        return await service.export_user(actor, deps)
    if query.ids is not None and len(query.ids) == 1 and query.after is None:
        return await service.export_conversation(
            actor,
            deps,
            conversation_id=query.ids[0],
            wanted=query.format,
            attachments=query.attachments,
        )
    return await service.export_conversations(
        actor,
        deps,
        wanted=query.format,
        ids=query.ids,
        after=query.after,
        attachments=query.attachments,
    )


@contextlib.contextmanager
def _open(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes into a file, which gets its name when it is whole; or to standard output.

    Nobody but the owner can read the file.
    """
    if path is None:
        # It stays open: it is not ours to close.
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    descriptor, working = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        Path(working).replace(path)
    finally:
        Path(working).unlink(missing_ok=True)


def _print_summary(where: Path | None, counts: Counts) -> None:
    """Say how much was exported, beside what goes to standard output."""
    told = f"{_count(counts.conversations, 'conversation')}, {_count(counts.messages, 'message')}"
    err.print(told if where is None else f"{told} in {where}")
    for number, what in (
        (counts.changed, "changed while exported"),
        (counts.cut, "replaced while exported: the rest is missing"),
        (counts.deleted, "deleted before exported"),
    ):
        if number:
            err.print(f"{_count(number, 'conversation')} {what}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
