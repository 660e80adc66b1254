"""The audit log's proofs at the command line."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import bson
import typer
from bson import ObjectId
from pydantic import BaseModel, ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from chatvault.audit.keys import FILE_NAME, new_root
from chatvault.audit.mark import HighWater
from chatvault.audit.models import AWARE, AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.cli.terminal import err, operator, out, run, validate
from chatvault.encoding import to_json
from chatvault.errors import InvalidInput
from chatvault.fields import Instant, format_instant
from chatvault.sealing import service
from chatvault.sealing.proofs import Checkpoint, Proof, check_proof
from chatvault.sealing.verify import Verified, find_block_since
from chatvault.settings import load_settings

M = TypeVar("M", bound=BaseModel)
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]
CheckpointFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="what `checkpoint` printed")
]
proofs = typer.Typer()


class _Since(BaseModel):
    since: Instant | None


@proofs.command("verify")
def verify_log(
    from_block: Annotated[int, typer.Option(min=0, help="begin with this block")] = 0,
    since: Annotated[str | None, typer.Option(help="such as 2026-01-31T10:00:00Z")] = None,
    checkpoint: CheckpointFile = None,
) -> None:
    """Recompute the log and name the first fault.

    That is the first entry or block which is not as it was sealed.
    """
    begin = validate(_Since, {"since": since}).since
    pinned = _read(Checkpoint, checkpoint) if checkpoint else None
    with _progress() as progress:
        task = progress.add_task("Verifying blocks", total=None)

        async def work() -> tuple[Verified, str | None]:
            first = max(from_block, await find_block_since(begin)) if begin else from_block
            report = await service.verify_log(
                operator(),
                Recorder(),
                from_block=first,
                checkpoint=pinned,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
            return report, _mark_problem(AuditEntry.high_water())

        found, why = run(work)
    out.print(_describe(found, begin))
    for restore in found.restores:
        out.print(f"{format_instant(restore.at)}: {restore.sentence}")
    if why and found.newest is not None:
        out.print(why)


def _mark_problem(high_water: HighWater) -> str | None:
    """Return one line if nothing outside MongoDB says how far the log went, else None."""
    if high_water.read() is not None:
        return None
    directory = high_water.path.parent if high_water.path else None
    return (
        f"no mark outside MongoDB was compared ({high_water.problem}; {directory}): a log that was "
        "cut at its end looks like this one. A service that seals keeps one where "
        "CHATVAULT_AUDIT_MARK_DIR says; or compare with --checkpoint."
    )


def _describe(found: Verified, since: datetime | None) -> str:
    if found.newest is None:
        empty = f"since {format_instant(since)}" if since else "yet"
        return f"verified: nothing sealed {empty}, {found.unsealed} entries not sealed yet"
    return (
        f"verified: {found.entries} entries in {found.blocks} blocks"
        f" ({found.first} to {found.newest.height},"
        f" sealed until {format_instant(found.newest.sealed_at)});"
        f" {found.removed} removed as announced; {found.unsealed} not sealed yet"
        + (f"; gaps acknowledged up to block {found.accepted}" if found.accepted >= 0 else "")
    )


@proofs.command("acknowledge")
def acknowledge_gaps() -> None:
    """Accept the gaps that verify names.

    Do it once you know what happened. It is recorded, and holds for the log up to the newest block.
    """
    count, block = run(lambda: service.acknowledge(operator(), Recorder()))
    out.print(f"acknowledged: {count} gaps, up to block {block}")


@proofs.command("checkpoint")
def print_checkpoint() -> None:
    """Print the newest signed header.

    Keep it where whoever owns the database cannot reach it.
    """
    found = run(lambda: service.get_checkpoint(operator(), Recorder()))
    out.print(to_json(found.model_dump(mode="json")).decode())


@proofs.command("prove")
def prove_entry(
    entry_id: Annotated[str, typer.Argument(help="the entry's id")],
    entry_out: Annotated[
        Path | None, typer.Option(help="write the entry itself into this file, as BSON")
    ] = None,
) -> None:
    """Print the proof that an entry is in the log.

    `check-proof` checks it without the database.
    """
    if not ObjectId.is_valid(entry_id):
        raise InvalidInput("entry_id: Id should be 24 hexadecimal digits")
    wanted = ObjectId(entry_id)
    proof, raw = run(lambda: service.prove_entry(operator(), Recorder(), entry_id=wanted))
    if entry_out:
        entry_out.write_bytes(raw)
    out.print(to_json(proof.model_dump(mode="json")).decode())


@proofs.command("check-proof")
def check_proof_file(
    file: File,
    entry_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="what `prove --entry-out` wrote"),
    ] = None,
    checkpoint: CheckpointFile = None,
) -> None:
    """Check a proof without the database.

    With a checkpoint, also check that its key signed it.
    """
    proof = _read(Proof, file)
    pinned = _read(Checkpoint, checkpoint) if checkpoint else None
    entry = entry_file.read_bytes() if entry_file else None
    header = check_proof(proof, pinned=pinned, entry=entry)
    out.print(
        f"proved: entry {proof.entry_id} is number {proof.index + 1} of {header.count} in block"
        f" {header.height}, sealed at {format_instant(header.sealed_at)}"
    )
    if entry is not None:
        shown = bson.decode(entry, AWARE)
        shown["mac"] = bytes(shown.get("mac", b"")).hex()
        if (known := shown.get("newest_block")) is not None:
            known["hash"] = bytes(known["hash"]).hex()
        out.print(to_json(shown).decode())
    if pinned is None:
        out.print(f"signed by the public key {proof.block.public_key.hex()}, which nothing pins")


@proofs.command("rotate-key")
def rotate_key() -> None:
    """Begin to use a new key.

    The old ones stay, to verify what they stamped.
    """
    settings = load_settings()
    if settings.audit_keys is not None:
        told = "Put it and a comma before CHATVAULT_AUDIT_KEYS, restart."
        out.print(new_root().hex(), told, sep="\n")
        return
    path = settings.data_dir / FILE_NAME
    key_id = run(lambda: service.rotate_key(operator(), Recorder(), path=path))
    out.print(f"key {key_id} is the newest in {path}; restart the service to use it")


def _read(model: type[M], path: Path) -> M:
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError:
        raise InvalidInput(f"{path} holds no {model.__name__.lower()}") from None


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
    )
