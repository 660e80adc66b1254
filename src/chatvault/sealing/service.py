"""Operations on the audit log's proof, each of which is recorded in the log."""

from collections.abc import Callable
from pathlib import Path

from bson import ObjectId

from chatvault.actor import Actor, Door, Role
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.keys import Key, new_root, prepend_key
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.audit.service import entry
from chatvault.errors import Denied
from chatvault.sealing.gaps import accepted_through, count_open, find_newest
from chatvault.sealing.pins import Pins
from chatvault.sealing.proofs import Checkpoint, Proof, check_pin, find_checkpoint, make_proof
from chatvault.sealing.verify import GROUP, NotVerified, Verified, verify


async def verify_log(
    actor: Actor,
    recorder: Recorder,
    *,
    from_block: int = 0,
    checkpoint: Checkpoint | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    group_size: int = GROUP,
) -> Verified:
    """Verify the log from a block on, and that it contains a checkpoint.

    For an operator, auditors and admins.

    Raises:
        NotVerified: the log differs from the seals; names the first difference.
    """
    require_reviewer(actor)
    try:
        pinned = check_pin(checkpoint) if checkpoint else None
        report = await verify(
            from_block=from_block,
            checkpoint=pinned,
            on_progress=on_progress,
            group_size=group_size,
        )
    except NotVerified as error:
        found = {"finding": error.detail}
        await recorder.record(
            entry(
                actor, Action.AUDIT_VERIFY, outcome=Outcome.FAILED, code=error.code, details=found
            )
        )
        raise
    counted = {"from_block": report.first, "blocks": report.blocks, "entries": report.entries}
    await recorder.record(entry(actor, Action.AUDIT_VERIFY, details=counted))
    return report


async def get_checkpoint(actor: Actor, recorder: Recorder) -> Checkpoint:
    """Return the newest signed header, to be kept elsewhere; for an operator.

    Raises:
        NotFound: nothing is sealed yet.
    """
    _require_operator(actor)
    found = await find_checkpoint()
    details = {"block": found.height}
    await recorder.record(entry(actor, Action.AUDIT_CHECKPOINT, details=details))
    return found


async def acknowledge(actor: Actor, recorder: Recorder) -> tuple[int, int]:
    """Acknowledge the gaps recorded up to the newest block; for an operator.

    The acknowledgement is for this chain up to that block; it does not cover a later cut.

    Returns:
        How many gaps there were, and the newest block.

    Raises:
        NotFound: nothing is sealed yet.
        NotVerified: more is wrong than gap entries record.
    """
    _require_operator(actor)
    pins = Pins(AuditEntry.high_water().newest, None)
    found = await find_newest()
    height = found.height if found else -1
    why = pins.problem_with_end(height) or await pins.problem_before(height + 1)
    if why is not None:
        raise NotVerified(f"{why}; start the service first, which tells of it in the log")
    # This checks the signature of the newest header.
    newest = (await find_checkpoint()).open()
    open_gaps, unsealed = await count_open(await accepted_through())
    if unsealed:
        raise NotVerified("a gap entry is not sealed yet; a running service does it in seconds")
    accepted = {"block": newest.height, "hash": newest.hash.hex(), "gaps": open_gaps}
    await recorder.record(entry(actor, Action.AUDIT_ACKNOWLEDGE, details=accepted))
    return open_gaps, newest.height


async def prove_entry(
    actor: Actor, recorder: Recorder, *, entry_id: ObjectId
) -> tuple[Proof, bytes]:
    """Return the proof that an entry is in the log, and the entry's stored BSON; for an operator.

    Raises:
        NotFound: there is no such entry, or it is not sealed yet.
        NotVerified: the stored data is inconsistent.
    """
    _require_operator(actor)
    proof, raw = await make_proof(entry_id)
    await recorder.record(entry(actor, Action.AUDIT_PROVE, entry_id))
    return proof, raw


async def rotate_key(actor: Actor, recorder: Recorder, *, path: Path) -> str:
    """Create a new key as the file's newest; return its id. For an operator.

    Raises:
        OSError: the file cannot be replaced.
    """
    _require_operator(actor)
    root = new_root()
    key_id = Key(root).id
    await recorder.record(entry(actor, Action.AUDIT_ROTATE_KEY, details={"key_id": key_id}))
    prepend_key(path, root)
    return key_id


def require_reviewer(actor: Actor) -> None:
    """Raise Denied unless this is an operator at the command line, an auditor or an admin."""
    if actor.door is not Door.CLI:
        actor.require_role(Role.AUDITOR, Role.ADMIN)


def _require_operator(actor: Actor) -> None:
    if actor.door is not Door.CLI:
        raise Denied
