"""Backup and restore at the command line."""

from pathlib import Path
from typing import Annotated

import typer
from rich import filesize

from chatvault.audit.keys import FILE_NAME, KeyRing, KeysMissing, load_key_ring
from chatvault.audit.mark import HighWater
from chatvault.audit.recorder import Recorder
from chatvault.backup import service
from chatvault.backup.errors import NotABackup
from chatvault.backup.restore import Restored, Target
from chatvault.backup.restore import restore as restore_backup
from chatvault.backup.service import BackedUp, Checked
from chatvault.cli.progress import shown_progress
from chatvault.cli.terminal import Connection, err, operator, out, run, run_unbound, say
from chatvault.fields import format_instant
from chatvault.settings import Settings, load_settings
from chatvault.vault.masters import load_master_keys
from chatvault.vault.service import MasterKeysMissing

File = Annotated[Path, typer.Argument(dir_okay=False, help="the backup's file")]


def back_up(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="a new file")],
    with_keys: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool,
        typer.Option(help="write the keys of sealed words into the same file, not beside it"),
    ] = False,
) -> None:
    """Write everything that is stored into a file.

    The service may run meanwhile. Its keys are not in the file: keep copies of them elsewhere.
    """

    async def work() -> BackedUp:
        with shown_progress("Backing up", size=await service.estimate_size()) as count:
            return await service.back_up(
                operator(), Recorder(), path=file, with_keys=with_keys, count=count
            )

    done = run(work)
    compressed, size = filesize.decimal(file.stat().st_size), filesize.decimal(done.size)
    out.print(
        f"Backed up {done.end.documents:,} documents of {len(done.end.counts)} collections into "
        f"{file}: {compressed}, {size} before compression"
    )
    if done.apart is not None:
        keys = service.keys_path(file)
        out.print(f"The keys of sealed words are in {keys}: keep it apart from {file}")
    if done.others:
        err.print(f"Left out, as chatvault does not know them: {', '.join(done.others)}")


def restore(
    file: File,
    check: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool, typer.Option("--check", help="only read the file, and say whether it is whole")
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="the backup's second file, if it is not beside it"),
    ] = None,
    without_audit_log: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool, typer.Option(help="leave the audit log out, as its keys are lost")
    ] = False,
) -> None:
    """Restore a backup into an empty database."""
    settings = load_settings()
    files = _check_files(file, keys, _find_keys(settings))
    if check:
        out.print(*_describe(file, files), sep="\n")
        return
    if not without_audit_log:
        _require_keys(files[0][1], settings)
    _require_master_keys([each for _, each in files], settings)
    size = sum(path.stat().st_size for path, _ in files)

    async def work(connection: Connection) -> Restored:
        noted = connection.high_water.read()
        target = Target(
            database=connection.client[settings.mongodb_database],
            # The note is lowered last: until then it says how far the log went.
            bind=lambda: connection.bind(HighWater(connection.keys), is_restoring=True),
            known=noted and noted[0],
            note=connection.high_water.note,
        )
        with shown_progress("Restoring", size=size) as count:
            return await restore_backup(
                operator(), target, files=files, with_log=not without_audit_log, count=count
            )

    done = run_unbound(work, exclusive=True)
    out.print(f"Restored {done.documents:,} documents of {done.collections} collections")
    if done.finding is not None:
        say(f"the audit log does not verify, as it did not in the backup: {done.finding}")
        raise typer.Exit(1)
    if done.verified is not None:
        out.print(
            f"Verified the audit log: {done.verified.entries} entries in "
            f"{done.verified.blocks} blocks; {done.verified.unsealed} were not sealed yet"
        )


def _check_files(file: Path, keys: Path | None, ring: KeyRing | None) -> list[tuple[Path, Checked]]:
    """Return the files of the backup, after reading each to its end."""
    files = [(file, _check(file, ring))]
    first = files[0][1].header
    if first.has_keys:
        raise NotABackup(f"{file} is the second file of a backup: name the first")
    if first.apart:
        second = keys or service.keys_path(file)
        if not second.exists():
            raise NotABackup(
                f"{second} is missing: without it nobody can read what {file} has; "
                "put it there, or name it with --keys"
            )
        files.append((second, _check(second, ring)))
        if files[1][1].header.id != first.id or not files[1][1].header.has_keys:
            raise NotABackup(f"{second} belongs to another backup than {file}")
    return files


def _check(file: Path, ring: KeyRing | None) -> Checked:
    with shown_progress("Checking", size=file.stat().st_size) as count:
        return service.check(file, count, keys=ring)


def _find_keys(settings: Settings) -> KeyRing | None:
    """Return the audit keys, without making any; None if there are none yet."""
    if settings.audit_keys is None and not (settings.data_dir / FILE_NAME).exists():
        return None
    return load_key_ring(settings)


def _require_keys(checked: Checked, settings: Settings) -> None:
    """Raise unless the audit keys of the backup are here.

    Raises:
        KeysMissing: one is not.
    """
    ring = _find_keys(settings)
    missing = [each for each in checked.end.audit_keys if ring is None or ring.find(each) is None]
    if not missing:
        return
    if settings.audit_keys is not None:
        how = "add it to CHATVAULT_AUDIT_KEYS, behind the newest"
    elif ring is None:
        how = f"put your copy of {FILE_NAME} into {settings.data_dir}"
    else:
        how = f"add it to {settings.data_dir / FILE_NAME}, as a line below the newest"
    raise KeysMissing(
        f"The audit log of this backup was sealed with the key {', '.join(missing)}, which is "
        f"not here: {how}. If it is lost, --without-audit-log restores the rest; "
        "nothing was changed"
    )


def _require_master_keys(files: list[Checked], settings: Settings) -> None:
    """Raise unless the master keys are here with which words of the backup are sealed.

    Raises:
        MasterKeysMissing: one is not.
    """
    masters = load_master_keys(settings)
    given = set(masters.ids) if masters else set()
    if missing := sorted({id_ for each in files for id_ in each.master_keys} - given):
        raise MasterKeysMissing(
            f"Words in this backup are sealed with the master key {', '.join(missing)}, which is "
            "not here: add it to CHATVAULT_MASTER_KEYS, behind the newest, from your copy of it; "
            "nothing was changed"
        )


def _describe(file: Path, files: list[tuple[Path, Checked]]) -> list[str]:
    """Return lines about a backup that is whole."""
    first = files[0][1]
    header, end = first.header, first.end
    block = end.checkpoint["height"] if end.checkpoint else None
    log = f"sealed up to block {block}" if block is not None else "not sealed yet"
    whose = "which is one of yours" if first.is_ours else "which is not here to compare it with"
    out_of = f"{end.documents:,} documents of {len(end.counts)} collections"
    made = f"{format_instant(header.made_at)} by chatvault {header.version}"
    source = f"the database {header.database} on MongoDB {header.mongodb}"
    signed = f"the file is signed with {first.key_id}, {whose}"
    lines = [
        f"{file} is whole: {out_of}, {filesize.decimal(file.stat().st_size)}",
        f"made at {made}, of {source}",
        f"audit log {log}, with the keys {', '.join(end.audit_keys)}; {signed}",
    ]
    lines += [f"{path} is whole, and belongs to it" for path, _ in files[1:]]
    return lines
