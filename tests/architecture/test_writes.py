"""Writes as the source has them; tests/test_writes.py looks at what reaches MongoDB."""

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.source import MODULES, Function, called, names_assigned, tree_of

pytestmark = pytest.mark.xdist_group("source")

# What the driver, and Beanie, change with, and insert with. A statement has no transaction of its
# own, but that of the bulk_write it goes into.
CHANGES = {
    "update_one", "update_many", "replace_one", "delete_one", "delete_many",
    "find_one_and_update", "find_one_and_replace", "find_one_and_delete",
}  # fmt: skip
STATEMENTS = {"UpdateOne", "UpdateMany", "ReplaceOne", "DeleteOne", "DeleteMany"}
INSERTS = {"insert_one", "insert_many", "bulk_write", "insert", "save", "save_changes"}
# Changes whose filter names no owner, by module and function.
OWNERLESS = {
    ("backup/restore.py", "_empty"): "a database that is half restored, wholly",
    ("backup/restore.py", "_end_imports"): "of all users, before any of them is served",
    **dict.fromkeys(
        (
            ("vault/collections.py", f"SealedCollection.{name}")
            for name in ("find_one_and_update", "replace_one", "update_one", "update_many")
        ),
        "what a room asks of its collection, with its filter",
    ),
    ("mongodb/restoring.py", "begin"): "the mark of a database",
    ("mongodb/restoring.py", "end"): "the same",
    ("accounts/identities.py", "_change.change"): "an account is its owner's, found by its id",
    ("accounts/service.py", "_set"): "an account is its owner's, and found by its id",
    ("holds/service.py", "_keep"): "an auditor holds another's account, found by its id",
    ("accounts/administrators.py", "require_another"): "any administrator's account, to be kept",
    ("administration/service.py", "_set"): "an account is its owner's, and found by its id",
    (
        "administration/service.py",
        "reset_password.store",
    ): "an account is its owner's, and found by its id",
    ("sessions/service.py", "open_for.store"): "the account that signs in, and found by its id",
    ("sessions/storage.py", "SessionStorage.save_session"): "found by what only its owner has",
    ("vault/service.py", "retire_data_keys.write"): "an operator retires those of all users",
    ("conversations/commits/garbage.py", "sweep"): "takes what is due, whoever's it is",
    ("commands/permissions.py", "grant.store"): "a tool is nobody's",
    ("commands/runner.py", "CommandRunner._renew"): "renews all commands that this process runs",
    (
        "commands/runner.py",
        "CommandRunner.reap",
    ): "takes over commands of the dead, whoever's they are",
    ("replies/jobs.py", "Worker._take"): "takes what is due, whoever's it is",
    ("mongodb/jobs.py", "JobRunner._take"): "takes what is due, whoever's it is",
    ("replies/runner.py", "ReplyRunner._renew"): "renews all replies that this process writes",
    ("replies/runner.py", "ReplyRunner.reap"): "takes over replies of the dead, whoever's they are",
    ("audit/pending_refusals.py", "PendingRefusals.keep"): "counts of callers that nobody knows",
    ("audit/pending_refusals.py", "PendingRefusals.drop"): "counts of callers that nobody knows",
    ("sealing/retention.py", "_remove"): "what expired goes, whoever's it is",
    ("sealing/verifications.py", "_store_progress"): "the log is nobody's",
    ("importing/jobs/runner.py", "ImportRunner._take"): "takes what is due, whoever's it is",
    ("erasure/models.py", "Erasure.take"): "takes what is due, whoever's it is",
    ("erasure/removal.py", "Removal.remove_all"): "by the collections' own declarations",
    (
        "erasure/removal.py",
        "Removal._remove_some.remove",
    ): "by the collections' own declarations",
    ("holds/service.py", "lift.update"): "an auditor's, of anybody's conversations",
    ("retention/service.py", "_set.store"): "its owner's or an operator's, by its caller",
    ("erasure/service.py", "_close"): "an account is its owner's, and found by its id",
    ("erasure/worker.py", "Eraser._store_receipt"): "an account is found by its id",
    ("mongodb/leases.py", "take"): "processes' own",
    ("mongodb/leases.py", "release"): "processes' own",
    ("mongodb/allowances.py", "Allowances._lease"): "counts what nobody owns",
    ("quotas/service.py", "_store"): "an administrator's, for anybody",
    ("mongodb/rates.py", "CounterStorage.incr"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.take_back"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.clear"): "counts what nobody owns",
}
# Writes that are part of no transaction, by module and function.
ALONE = {
    (
        "administration/tokens.py",
        "offer_first_admin",
    ): "a token for the operator; its use has an entry",
    ("backup/restore.py", "_empty"): "the database is marked as half restored",
    ("backup/restore.py", "_write"): "the same",
    **dict.fromkeys(
        (
            ("vault/collections.py", f"SealedCollection.{name}")
            for name in (
                "find_one_and_update",
                "replace_one",
                "update_one",
                "update_many",
                "insert_one",
                "insert_many",
                "bulk_write",
            )
        ),
        "what a room asks of its collection, with its session",
    ),
    ("backup/restore.py", "_end_imports"): "the same; `audit.restore` counts them",
    ("mongodb/restoring.py", "begin"): "the mark itself",
    ("mongodb/restoring.py", "end"): "the same, when everything is there and recorded",
    ("vault/data_keys.py", "DataKeys._create"): "exists before anything is sealed with it",
    ("conversations/authors.py", "release_shared"): "the rest of a conversation that is gone",
    ("conversations/released.py", "release_lifted"): "our own housekeeping",
    ("conversations/released.py", "_release"): "our own housekeeping",
    ("conversations/converting.py", "Converter._convert"): "nothing changes for anybody",
    ("api_keys/finder.py", "KeyFinder.note_uses"): "when they were used; nothing is done",
    ("sessions/storage.py", "SessionStorage.save_session"): "moves an end on; nothing is done",
    (
        "conversations/commits/bulk.py",
        "write_generation",
    ): "shown by nobody until a transaction says so",
    ("conversations/commits/garbage.py", "sweep"): "our own housekeeping",
    ("conversations/commits/garbage.py", "_sweep_one"): "our own housekeeping",
    ("conversations/commits/garbage.py", "_sweep_replaced"): "our own housekeeping",
    ("links/snapshot.py", "SnapshotWriter._store"): "found by nobody until a link is stored",
    ("links/snapshot.py", "SnapshotWriter.keep_until"): "the same",
    ("links/snapshot.py", "SnapshotWriter.discard"): "the same",
    ("attachments/files.py", "FileStore.keep"): "found by nobody until an attachment has it",
    ("attachments/files.py", "FileStore._find"): "when it is looked at",
    ("attachments/files.py", "hold"): "when it is looked at",
    ("attachments/files.py", "_write"): "found by nobody until an attachment has it",
    ("attachments/files.py", "_give_up"): "our own housekeeping",
    ("attachments/files.py", "release"): "our own housekeeping",
    ("attachments/files.py", "recheck"): "our own housekeeping",
    ("attachments/files.py", "recheck_all"): "our own housekeeping",
    ("attachments/files.py", "_check"): "our own housekeeping",
    ("search/files.py", "IndexFiles.store"): "used by nobody until an index has it",
    ("search/files.py", "note_use"): "when it was last searched",
    ("search/files.py", "purge_later"): "our own housekeeping",
    ("search/files.py", "_delete"): "our own housekeeping",
    ("commands/runner.py", "CommandRunner._renew"): "whose turn it is",
    ("commands/runner.py", "CommandRunner.reap"): "whose turn it is",
    ("replies/jobs.py", "Worker._take"): "whose turn it is",
    ("mongodb/jobs.py", "JobRunner._take"): "whose turn it is",
    ("mongodb/jobs.py", "Attempt.put_off"): "whose turn it is",
    ("exporting/jobs/worker.py", "remove_expired"): "our own housekeeping",
    ("groups/claims.py", "ClaimWorker._work"): "a task that is done; what it did has entries",
    ("groups/expansion.py", "_do"): "a task that is done; what it did has entries",
    ("batches/models.py", "BatchChanges.store"): "what a step did, for an undo; has its entries",
    ("exporting/jobs/writing.py", "_Chunks._store"): "shown by nobody until the export names it",
    ("exporting/jobs/models.py", "ExportJob.expire_oldest"): "our own housekeeping",
    ("exporting/jobs/models.py", "ExportChunk.remove"): "our own housekeeping",
    ("replies/jobs.py", "Worker._do"): "whose turn it is",
    ("replies/jobs.py", "Worker._renew"): "whose turn it is",
    ("replies/titles.py", "Background._ask"): "what was used is used, whatever comes of it",
    ("completions/service.py", "_plain"): "what was used is used, whatever comes of it",
    ("replies/events.py", "EventLog._write"): "what is said while it is said; the end has an entry",
    ("replies/runner.py", "ReplyRunner._renew"): "whose turn it is",
    ("replies/runner.py", "ReplyRunner.reap"): "whose turn it is",
    ("replies/runner.py", "ReplyRunner._interrupt"): "the rest of a conversation that is gone",
    ("sealing/blocks.py", "Block.append"): "the log's own, of entries that are stored",
    ("audit/pending_refusals.py", "PendingRefusals.keep"): "counts that become an entry later",
    ("audit/pending_refusals.py", "PendingRefusals.drop"): "counts that have become entries",
    (
        "sealing/verifications.py",
        "_store_progress",
    ): "how far it has come; beginning and end have entries",
    ("sealing/retention.py", "_remove"): "announced by an entry before, and told by one after",
    ("importing/jobs/runner.py", "ImportRunner._take"): "whose turn it is",
    (
        "importing/jobs/runner.py",
        "ImportRunner._save_progress",
    ): "only progress; the end of an import has an entry",
    ("importing/jobs/runner.py", "ImportRunner._put_off"): "whose turn it is",
    ("importing/jobs/service.py", "remove_uploads"): "what an import was made of that has ended",
    (
        "erasure/key_destruction.py",
        "destroy_keys",
    ): "a step of an erasure; the receipt has an entry",
    ("erasure/models.py", "Erasure.take"): "whose turn it is",
    ("erasure/models.py", "Erasure.note_removed_file"): "how far it is; the receipt has an entry",
    ("erasure/removal.py", "Removal.remove_all"): "counters and leases, which end by themselves",
    ("erasure/stopping.py", "stop_work"): "flags of work that is removed; the erasure has an entry",
    ("mongodb/leases.py", "take"): "processes' own",
    ("mongodb/leases.py", "release"): "processes' own",
    ("mongodb/allowances.py", "Allowances._lease"): "counts; nothing is done",
    ("usage/metering.py", "Meter.flush"): "counts what was done",
    ("usage/metering.py", "_grow"): "counts what was done",
    ("usage/metering.py", "count_stored"): "counts what was done",
    ("mongodb/rates.py", "CounterStorage.incr"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.take_back"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.clear"): "counts what nobody owns",
}


# What makes a filter with its owner.
OWNED_BY = {"owned_by", "owned_with_trash_by", "_filter_of"}


@dataclass(frozen=True)
class Write:
    """A place in the source where something is written, and the functions around it."""

    path: Path
    within: tuple[str, ...]
    functions: tuple[Function, ...]
    call: ast.Call

    @property
    def name(self) -> str:
        return called(self.call)

    @property
    def place(self) -> tuple[str, str]:
        return self.path.as_posix(), ".".join(self.within)

    @property
    def names_owner(self) -> bool:
        return bool(self.call.args) and self._is_owners(self.call.args[0])

    @property
    def joins_transaction(self) -> bool:
        return any(keyword.arg == "session" for keyword in self.call.keywords)

    def _is_owners(self, filter_: ast.expr) -> bool:
        """Whether a filter names the owner, whichever way it comes about."""
        match filter_:
            case ast.Dict(keys=keys, values=values):
                return any(
                    self._is_owners(value)
                    if key is None
                    else isinstance(key, ast.Constant) and key.value == "user_id"
                    for key, value in zip(keys, values, strict=True)
                )
            case ast.Call():
                return called(filter_) in OWNED_BY
            case ast.Name(id=name):
                given = self._assigned(name)
                return bool(given) and all(map(self._is_owners, given))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._is_owners(left) or self._is_owners(right)
            case _:
                return False

    def _assigned(self, name: str) -> list[ast.expr]:
        """What the innermost function that gives the name a value gives it."""
        for function in reversed(self.functions):
            given = [
                node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign | ast.AnnAssign)
                and node.value is not None
                and name in names_assigned(node)
            ]
            if given:
                return given
        return []


@functools.cache
def all_writes() -> tuple[Write, ...]:
    """Return every call that writes; methods are awaited, statements are made."""
    found = []

    def visit(
        node: ast.AST, path: Path, within: tuple[str, ...], functions: tuple[Function, ...]
    ) -> None:
        call = node.value if isinstance(node, ast.Await) else node
        if isinstance(call, ast.Call):
            name = called(call)
            is_awaited = isinstance(node, ast.Await) and name in CHANGES | INSERTS
            if is_awaited or name in STATEMENTS:
                found.append(Write(path, within, functions, call))
        if isinstance(node, Function | ast.ClassDef):
            within = (*within, node.name)
        if isinstance(node, Function):
            functions = (*functions, node)
        for child in ast.iter_child_nodes(node):
            visit(child, path, within, functions)

    for path in MODULES:
        visit(tree_of(path), path, (), ())
    return tuple(found)


def writes(names: set[str]) -> list[Write]:
    """Return every call of one of these in the source."""
    return [write for write in all_writes() if write.name in names]


class TestWrites:
    def test_name_the_owner_in_their_filter(self) -> None:
        found = writes(CHANGES | STATEMENTS)
        assert len(found) > 25
        for write in found:
            line = f"{write.place} line {write.call.lineno}: {write.name}"
            assert write.names_owner or write.place in OWNERLESS, line

    def test_join_a_transaction(self) -> None:
        found = writes(CHANGES | INSERTS)
        assert len(found) > 30
        for write in found:
            line = f"{write.place} line {write.call.lineno}: {write.name}"
            assert write.joins_transaction or write.place in ALONE, line

    def test_have_no_unused_exemption(self) -> None:
        changes, both = writes(CHANGES | STATEMENTS), writes(CHANGES | INSERTS)
        assert OWNERLESS.keys() == {each.place for each in changes if not each.names_owner}
        assert ALONE.keys() == {each.place for each in both if not each.joins_transaction}
