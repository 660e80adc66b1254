"""Audit entries say what changed where: each action, driven over HTTP, beside the store itself."""

import re
from pathlib import Path
from typing import Any

import pytest

from chatvault.access import Access
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import CHANGES, ChangeDetails, IncompleteDetails, Outbox
from chatvault.conversations import service
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.schemas import ConversationCreate
from chatvault.conversations.store import MessageStore
from chatvault.settings import Settings
from support.factories import message
from support.histories import Act, Kept, World
from support.stored import somebody, stored

DOCS = Path(__file__).parent.parent.parent / "docs"
NAMES = {"version", "first_seq", "count", "replaced", "deleted", "leaf_seq"}
Entry = dict[str, Any]
# A conversation with the default title, and one with another.
PLAIN, TITLED = Act("create", a=3), Act("create", a=3, b=1)
PROPOSED = [TITLED, Act("propose")]
REPLY = {Action.REPLY_CREATE, Action.REPLY_FINISH}
GOES_ON = {Action.REPLY_CONTINUE, Action.REPLY_FINISH}
# What comes before, what is done, and which actions tell of it.
CASES: list[tuple[list[Act], Act, set[Action]]] = [
    ([], PLAIN, {Action.CONVERSATION_CREATE}),
    ([], Act("create_bulk"), {Action.CONVERSATION_CREATE}),
    ([], Act("create_again"), {Action.CONVERSATION_CREATE}),
    ([], Act("open"), {Action.CONVERSATION_CREATE, *REPLY}),
    *(([PLAIN], Act("patch", a=n), {Action.CONVERSATION_UPDATE}) for n in range(4)),
    *(([PLAIN], Act("put", b=n), {Action.CONVERSATION_UPDATE}) for n in (0, 1, 11)),
    ([PLAIN], Act("archive"), {Action.CONVERSATION_ARCHIVE}),
    ([PLAIN], Act("attach"), {Action.CONVERSATION_ATTACH}),
    ([PLAIN], Act("copy"), {Action.CONVERSATION_FORK}),
    ([PLAIN], Act("delete"), {Action.CONVERSATION_TRASH}),
    ([PLAIN, PLAIN], Act("delete_all"), {Action.CONVERSATION_TRASH}),
    ([PLAIN], Act("delete_permanently"), {Action.CONVERSATION_DELETE}),
    ([PLAIN, Act("delete")], Act("restore"), {Action.CONVERSATION_RESTORE}),
    ([PLAIN, Act("delete")], Act("empty_trash"), {Action.CONVERSATION_PURGE}),
    *(([], Act("bring_in", b=n), {Action.CONVERSATION_IMPORT}) for n in (0, 4, 7)),
    *(
        ([Act("bring_in", b=3)], Act("bring_in", b=n), {Action.CONVERSATION_IMPORT})
        for n in (1, 4, 7, 2, 5)
    ),
    ([PLAIN], Act("append"), {Action.CONVERSATION_APPEND_MESSAGE}),
    *(([PLAIN], Act("append_again", b=n), {Action.CONVERSATION_APPEND_MESSAGE}) for n in (0, 1)),
    *(([PLAIN], Act("batch", b=n), {Action.CONVERSATION_APPEND_MESSAGES}) for n in (0, 5)),
    *(
        ([Act("create_bulk")], Act(name, b=n), {action})
        for name, action in (
            ("edit", Action.CONVERSATION_EDIT_MESSAGE),
            ("remove", Action.CONVERSATION_DELETE_MESSAGE),
        )
        for n in (0, 5)
    ),
    *(([PLAIN], Act("fork", b=n), {Action.CONVERSATION_APPEND_MESSAGE}) for n in (0, 1)),
    *(([PLAIN], Act("show_branch", b=n), {Action.CONVERSATION_SHOW_BRANCH}) for n in (0, 1)),
    (
        [PLAIN],
        Act("replace_last"),
        {Action.CONVERSATION_REPLACE_MESSAGE, Action.CONVERSATION_APPEND_MESSAGE},
    ),
    ([PLAIN], Act("reply"), {*REPLY, Action.CONVERSATION_TITLE}),
    *(([TITLED, Act("reply")], Act("regenerate", b=n), REPLY) for n in (0, 1)),
    ([TITLED], Act("complete"), {Action.CHAT_COMPLETE, Action.REPLY_FINISH}),
    *(([TITLED], Act("fail", b=n), REPLY) for n in (0, 1)),
    ([PLAIN], Act("summarize"), {Action.CONVERSATION_SUMMARIZE}),
    *(([TITLED], Act("propose", b=n), {*REPLY, Action.COMMAND_PROPOSE}) for n in (0, 1)),
    (PROPOSED, Act("approve", b=1), {Action.COMMAND_APPROVE, Action.COMMAND_EXECUTE, *GOES_ON}),
    (PROPOSED, Act("reject", b=1), {Action.COMMAND_REJECT, *GOES_ON}),
    (PROPOSED, Act("cancel"), {Action.COMMAND_REJECT, Action.REPLY_CANCEL}),
    ([TITLED, Act("propose", b=1)], Act("reply"), {Action.COMMAND_REJECT, *REPLY}),
    ([TITLED], Act("execute"), {Action.COMMAND_EXECUTE_TERMINAL, Action.COMMAND_EXECUTE}),
]


@pytest.fixture
def settings(tool_settings: Settings) -> Settings:
    return tool_settings


def untold(before: dict[str, Kept], after: dict[str, Kept], entries: list[Entry]) -> list[str]:
    """What differs and is told by no entry."""
    nothing = Kept({"version": 0}, {})
    faults = []
    for each in sorted(before.keys() | after.keys()):
        old, new = before.get(each, nothing), after.get(each, nothing)
        details = [entry["details"] for entry in entries if entry["resource_id"] == each]
        told = [found for found in map(ChangeDetails.read, details) if found]
        if each not in after:
            if not any(found.is_deleted for found in told):
                faults.append(f"{each} is gone")
            continue
        versions = set(range(old.fields["version"] + 1, new.fields["version"] + 1))
        if each not in before and any(found.is_replaced for found in told):
            versions = set()  # it was restored, and the earlier versions were told before
        versions |= {new.fields["version"]} if old != new else set()
        covered = {seq for found in told for seq in found.places}
        covered |= {
            seq
            for found in told
            for seq in old.messages
            if found.is_replaced and seq < found.places.start
        }
        places = {
            seq
            for seq in old.messages.keys() | new.messages.keys()
            if old.messages.get(seq) != new.messages.get(seq)
        }
        faults += [f"version {n}" for n in versions - {found.version for found in told}]
        faults += [f"place {seq}" for seq in places - covered]
    return faults


def misnamed(entry: Entry) -> bool:
    """Whether an entry has other details than the table says."""
    row = CHANGES[Action(entry["action"])]
    names = NAMES & {name for name, value in entry["details"].items() if value is not False}
    return not row.always <= names <= row.always | row.sometimes


class TestEachAction:
    async def test_records_what_it_changed(self, world: World) -> None:
        for before, act, expected in CASES:
            await world.perform(Act("delete_all"))
            for each in before:
                await world.perform(each)
            await world.settle()
            there = await world.look()
            known = await world.database.audit_logs.distinct("_id")

            await world.perform(act)
            await world.settle()

            new = world.database.audit_logs.find({"_id": {"$nin": known}})
            entries = [each async for each in new if "version" in (each["details"] or {})]
            assert {each["action"] for each in entries} == expected, act
            assert untold(there, await world.look(), entries) == [], act
            assert [each for each in entries if misnamed(each)] == [], act

    def test_is_tested_here(self) -> None:
        driven = set().union(*(actions for *_, actions in CASES))
        assert driven == CHANGES.keys()

    def test_is_documented(self) -> None:
        rows = re.findall(
            r"^\| ((?:`[a-z_]+\.[a-z_]+`(?:, )?)+) \| (.*?) \| (.*?) ?\|$",
            (DOCS / "audit.md").read_text(),
            re.MULTILINE,
        )
        told = {
            Action(action): (set(re.findall(r"`(\w+)`", always)), set(re.findall(r"`(\w+)`", more)))
            for actions, always, more in rows
            for action in re.findall(r"`(.*?)`", actions)
        }
        assert told == {
            action: (set(row.always), set(row.sometimes - row.always))
            for action, row in CHANGES.items()
        }


class TestIncompleteDetails:
    """A change that its entries leave out is not stored."""

    @pytest.mark.parametrize("fault", ["no entry", "no place", "another action", "not replaced"])
    async def test_are_a_bug(self, database: Any, fault: str) -> None:
        actor, commits = somebody(), CommitQueue(MessageStore())
        wanted = ConversationCreate.model_validate({"messages": [message("a", id="m")]})
        begun = await service.create(actor, commits, wanted=wanted)
        action = Action.CONVERSATION_GET if fault == "another action" else Action.REPLY_CREATE

        def decide(working: WorkingCopy) -> None:
            at = working.fields["updated_at"]
            if fault == "no place":
                working.remove_message(working.locate("m"), at)
            elif fault == "not replaced":
                working.replace_messages(None, at)
            else:
                working.set(at, title="T")
            if fault != "no entry":
                working.outbox.record(audit.entry(actor, action, begun))

        change = Change(
            actor=actor,
            access=Access.of(actor),
            action=action,
            where=("_id", begun),
            decide=decide,
            message_ids=frozenset({"m"}),
            needs_tail=True,
        )
        with pytest.raises(IncompleteDetails):
            await commits.submit(change)

        lies = await stored(database, begun)
        assert (lies.document["version"], lies.contents) == (1, ["a"])

    def test_do_not_arise_without_a_change(self) -> None:
        outbox = Outbox()
        outbox.begin()
        outbox.end(1, changed=False)
        assert outbox.entries == []
