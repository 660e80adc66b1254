"""`chatvault import`: reads a file and prints a report."""

import io
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from chatvault.accounts import service as accounts
from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.attachments.files import open_store
from chatvault.audit.recorder import Recorder
from chatvault.cli.progress import CountedFile, shown_progress
from chatvault.cli.terminal import out, run, say
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.opening import load_store
from chatvault.errors import NotFound
from chatvault.fields import now
from chatvault.importing.conversations import ImportFile
from chatvault.importing.deps import ImportDeps
from chatvault.importing.files.containers import Source, source_of_path
from chatvault.importing.format import Group
from chatvault.importing.formats import FORMATS
from chatvault.importing.jobs.reports import is_nothing
from chatvault.importing.reading import ReadOptions, read_files
from chatvault.importing.reports import ImportOutcome, OnDuplicate, Report, require_content
from chatvault.importing.service import import_file as import_content
from chatvault.keys import load_secret_key
from chatvault.settings import load_settings

SHOWN = 20
# The exit status where nothing came in, but for what is there already.
NOTHING_IMPORTED = 2
# Before this many bytes are read, it is made sure that there is the user.
LARGE = 50 * 1024**2
_OF_FOLDERS = {".json", ".jsonl", ".ndjson", ".html", ".zip", ".gz"}


def import_file(  # noqa: PLR0913, PLR0917  # the command's options
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="what another product exported: JSON, ZIP, HTML, or a folder of such files",
            exists=True,
        ),
    ],
    username: Annotated[
        str, typer.Option(help="whose conversations they become: a username or an id")
    ],
    format: Annotated[  # noqa: A002  # what it is called on the command line
        str | None, typer.Option(help=f"instead of detection: {', '.join(FORMATS)}")
    ] = None,
    on_duplicate: Annotated[
        OnDuplicate, typer.Option(help="what to do with what was imported before")
    ] = OnDuplicate.SKIP,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="write nothing")] = False,  # noqa: FBT002  # typer's way to make a flag
    attachments: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool, typer.Option(help="also store the bytes of files that the export holds")
    ] = True,
    restore_deleted: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool, typer.Option("--restore-deleted", help="import what was deleted here, too")
    ] = False,
    group: Annotated[
        Group | None, typer.Option(help="of Gemini's records without a conversation, one a day")
    ] = None,
    salvage: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool, typer.Option("--salvage", help="take the whole conversations of a damaged file")
    ] = False,
) -> None:
    """Import conversations from another product.

    The format is detected. Conversations that were imported before are not imported again.
    """
    sources = {path: source_of_path(path) for path in _paths(files)}
    size = sum(each.size for each in sources.values())
    if size > LARGE:
        run(lambda: _find_user(username))
    options = ReadOptions(sources=(), now=now(), format=format, salvage=salvage, group=group)
    try:
        with shown_progress("Reading", size=size) as read:
            counted = [_counted(*each, read) for each in sources.items()]
            content = read_files(replace(options, sources=counted))
        require_content(content, name=files[0].name)
        with shown_progress("Importing", total=len(content.found)) as advance:
            report = run(
                lambda: _import(
                    username,
                    content,
                    advance,
                    on_duplicate=on_duplicate,
                    restore_deleted=restore_deleted,
                    dry_run=dry_run,
                    attachments=attachments,
                )
            )
    except KeyboardInterrupt:
        say("interrupted; what is imported stays, and the same command imports the rest")
        raise typer.Exit(128 + signal.SIGINT) from None
    _print(report, dry_run=dry_run)
    if is_nothing(report) and report.by_outcome.keys() - {ImportOutcome.SKIPPED}:
        say("nothing was imported; --restore-deleted imports what was deleted here, too")
        raise typer.Exit(NOTHING_IMPORTED)


def _paths(files: list[Path]) -> Iterator[Path]:
    """Yield each file, and those of a folder that may hold conversations."""
    for file in files:
        if not file.is_dir():
            yield file
            continue
        for path in sorted(file.rglob("*")):
            if path.is_file() and path.suffix in _OF_FOLDERS and not path.is_symlink():
                yield path


def _counted(path: Path, source: Source, count: Callable[[int], None]) -> Source:
    """Return the source with what is read of it counted the first time."""
    is_counted = False

    def reopen() -> io.BufferedIOBase:
        nonlocal is_counted
        if is_counted:
            return source.open()
        is_counted = True
        return CountedFile(path, count)

    return replace(source, open=reopen)


async def _find_user(username: str) -> User:
    user = await accounts.find_by_name_or_id(username)
    if user is None:
        raise NotFound(
            f"There is no user {username!r}; make one with "
            f"`chatvault users create {username} --email ADDRESS`."
        )
    return user


async def _import(
    username: str,
    content: ImportFile,
    advance: Callable[[int], None],
    *,
    on_duplicate: OnDuplicate,
    restore_deleted: bool,
    dry_run: bool,
    attachments: bool,
) -> Report:
    user = await _find_user(username)
    settings, recorder = load_settings(), Recorder()
    commits = CommitQueue(load_store(settings, recorder))
    key = load_secret_key(settings)
    files = open_store(settings, key) if attachments else None
    try:
        return await import_content(
            Actor(door=Door.CLI, user_id=user.id, role=user.role),
            ImportDeps(commits, recorder, key, files),
            content=content,
            on_duplicate=on_duplicate,
            restore_deleted=restore_deleted,
            dry_run=dry_run,
            on_progress=advance,
        )
    finally:
        # After Ctrl-C: a transaction left open would block others.
        await commits.drain()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print(report: Report, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for name, number in report.formats.items():
        out.print(f"{_count(number, 'conversation')} found: {FORMATS[name].label}")
    for outcome in ImportOutcome:
        if report.by_outcome[outcome] or outcome is ImportOutcome.IMPORTED:
            out.print(
                f"{_count(report.by_outcome[outcome], 'conversation')} {would}{outcome.value}"
            )
    out.print(f"{_count(report.messages, 'message')} {would}stored")
    if report.preferences:
        out.print(f"preferences {would}taken over")
    _print_details(report)
    if report.truncated:
        out.print("the file is cut off; what came after the cut is lost")
    if (megabytes := _peak_megabytes()) is not None:
        out.print(f"peak memory {megabytes:.0f} MB")


def _print_details(report: Report) -> None:
    for reason, number in report.left_out.most_common():
        out.print(f"left out: {reason}: {number}")
    for kind, number in report.unknown.most_common():
        out.print(f"not understood: {kind}: {number}")
    for heading, lines in (
        ("not imported", [f"{each.place}: {each.reason}" for each in report.skipped]),
        ("repaired", report.repaired),
    ):
        for line in lines[:SHOWN]:
            out.print(f"{heading}: {line}")
        if lines[SHOWN:]:
            out.print(f"{heading}: {len(lines) - SHOWN} more")


def _peak_megabytes() -> float | None:
    """Return the peak memory of this process in MB, or None if the system does not say."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform == "linux" else 1024**2)
