"""Everything that changes a conversation, each as one small act over HTTP at one of two processes.

An act chooses its target by numbers, and may be refused; that is part of a history.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bson import ObjectId
from bson.codec_options import CodecOptions

from chatvault.actor import Actor, Door
from chatvault.conversations.routes import COMMITS
from chatvault.fields import now
from chatvault.importing.reports import OnDuplicate
from chatvault.importing.service import import_file
from support.exports import exported
from support.factories import message
from support.fake_model import FakeModel, ScriptedAnswer
from support.imports import deps_of, read
from support.sealing import until
from support.stored import Raw, stored, without_parent

ECHO = ("lab__echo", '{"text": "a"}')
# Fields that only say where messages are stored.
HOUSEKEEPING = {"messages", "tail_seq", "tail_bytes"}
REFUSALS = {400, 403, 404, 409, 412, 413, 422, 428, 503}


class Act(NamedTuple):
    """One request: its name, which of the two processes it goes to, and two small numbers."""

    name: str
    process: int = 0
    a: int = 0
    b: int = 0


class Kept(NamedTuple):
    """A conversation as its readers see it: its fields, and its messages by place."""

    fields: Raw
    messages: dict[int, Raw]


@dataclass
class World:
    """One user at two processes.

    Attributes:
        browsers: one at each process.
        database: the test's own connection to MongoDB.
        owner_id: the user's.
        fake_model: the model that answers.
    """

    browsers: tuple[Any, Any]
    database: Any
    owner_id: ObjectId
    fake_model: FakeModel
    made: int = 0

    @property
    def actor(self) -> Actor:
        return Actor(door=Door.BACKGROUND, user_id=self.owner_id)

    @property
    def mine(self) -> Raw:
        """The filter for the owner's conversations outside the trash."""
        return {"user_id": self.owner_id, "status": {"$ne": "deleted"}}

    async def perform(self, act: Act) -> None:
        await getattr(self, act.name)(act)

    async def send(self, act: Act, method: str, path: str, body: Any = None, **more: str) -> int:
        """Send a request; return the status, which must not be a server error."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        browser = self.browsers[act.process]
        async with browser.request(method, path, data=data, headers=headers | more) as answer:
            text = await answer.text()
            assert answer.status < 400 or answer.status in REFUSALS, f"{act}: {text}"
            return int(answer.status)

    async def look(self) -> dict[str, Kept]:
        """Return all conversations stored in MongoDB, checked for consistency."""
        # MongoDB returns times without zone.
        plain = self.database.with_options(codec_options=CodecOptions(tz_aware=False))
        ids = await self.database.conversations.distinct("_id", self.mine)
        found = {}
        for each in ids:
            lies = await stored(plain, each)
            messages = {seq: without_parent(said) for seq, said in lies.not_deleted.items()}
            found[str(each)] = Kept(seen(lies.document), messages)
        return found

    async def settle(self) -> None:
        """Wait until all background work is done."""
        waiting: dict[str, Raw] = {
            "commands": {"status": "approved"},
            "reply_jobs": {},
            "conversations": {"active_reply_id": {"$ne": None}},
        }

        async def is_idle() -> bool:
            mine = {"user_id": self.owner_id}
            found = [await self.database[name].find_one(q | mine) for name, q in waiting.items()]
            return not any(found)

        # A command that has ended leaves a job, and that a reply: in the order of the table.
        await until(is_idle, 30)
        for browser in self.browsers:
            await browser.server.app[COMMITS].drain()

    async def pick(self, number: int) -> str:
        """Return a conversation's path; an unknown one if there are none."""
        ids = await self.database.conversations.distinct("_id", self.mine) or [ObjectId()]
        return f"/conversations/{ids[number % len(ids)]}"

    async def pick_message(self, path: str, number: int) -> Raw:
        """Return one of a conversation's messages."""
        conversation_id = ObjectId(path.rpartition("/")[2])
        fields = await self.database.conversations.find_one({"_id": conversation_id})
        if fields is None:
            return {"id": "none"}
        older = self.database.segments.find({"generation": fields["generation"]})
        messages = [each for run in await older.to_list() for each in run["messages"]]
        messages += fields["messages"]
        living = [each for each in messages if "deleted" not in each]
        return living[number % len(living)] if living else {"id": "none"}

    def fresh(self) -> str:
        self.made += 1
        return f"x{self.made}"

    # Conversations.

    async def create(self, act: Act) -> None:
        messages = [message(self.fresh()) for _ in range(act.a % 4)]
        titled = {"title": self.fresh()} if act.b % 2 else {}
        body = {"messages": messages, "mcp_enabled": True, **titled}
        await self.send(act, "POST", "/conversations", body)

    async def create_bulk(self, act: Act) -> None:
        messages = [message(self.fresh()) for _ in range(6 + act.a % 5)]
        body = {"messages": messages, "mcp_enabled": True}
        await self.send(act, "POST", "/conversations", body)

    async def open(self, act: Act) -> None:
        body = {"initial_message": self.fresh(), "title": self.fresh(), "mcp_enabled": True}
        await self.send(act, "POST", "/conversations", body)

    async def create_again(self, act: Act) -> None:
        key = {"Idempotency-Key": self.fresh()}
        for _ in range(2):
            await self.send(act, "POST", "/conversations", {"title": "T"}, **key)

    async def patch(self, act: Act) -> None:
        body = [
            {"title": self.fresh()},
            {"metadata": {"n": act.b}},
            {"tags": [self.fresh()]},
            {"mcp_enabled": bool(act.b)},
        ][act.a % 4]
        await self.send(act, "PATCH", await self.pick(act.b), body)

    async def put(self, act: Act) -> None:
        messages = [message(self.fresh()) for _ in range(act.b % 12)]
        body: Raw = {"messages": messages, "title": self.fresh()}
        await self.send(act, "PUT", await self.pick(act.a), body)

    async def archive(self, act: Act) -> None:
        path = await self.pick(act.a)
        await self.send(act, "POST", f"{path}/archive", {"archived": act.b % 3 == 0})

    async def attach(self, act: Act) -> None:
        path = await self.pick(act.a)
        await self.send(act, "POST", f"{path}/attachments?name=a", {"bytes": act.b})

    async def copy(self, act: Act) -> None:
        await self.send(act, "POST", f"{await self.pick(act.a)}/fork", {})

    async def delete(self, act: Act) -> None:
        await self.send(act, "DELETE", await self.pick(act.a))

    async def delete_permanently(self, act: Act) -> None:
        await self.send(act, "DELETE", f"{await self.pick(act.a)}?permanent=true")

    async def restore(self, act: Act) -> None:
        trash = await self.database.conversations.distinct("_id", {"status": "deleted"})
        if trash:
            path = f"/conversations/{trash[act.a % len(trash)]}/restore"
            await self.send(act, "POST", path, {})

    async def empty_trash(self, act: Act) -> None:
        await self.send(act, "DELETE", "/trash")

    async def delete_all(self, act: Act) -> None:
        await self.send(act, "DELETE", "/conversations")

    async def bring_in(self, act: Act) -> None:
        app = self.browsers[act.process].server.app
        file = [exported(number % 3, messages=act.b % 8) for number in range(act.a % 3 + 1)]
        content = read(json.dumps(file).encode(), name="my.json", now=now())
        how = list(OnDuplicate)[act.b % 3]
        await import_file(
            self.actor, deps_of(app), content=content, on_duplicate=how, restore_deleted=True
        )

    # Messages.

    async def append(self, act: Act) -> None:
        path = await self.pick(act.a)
        await self.send(act, "POST", f"{path}/messages", message(self.fresh()))

    async def append_again(self, act: Act) -> None:
        path, body = await self.pick(act.a), message(self.fresh(), id=self.fresh())
        key = {"Idempotency-Key": self.fresh()} if act.b % 2 else {}
        for _ in range(2):
            await self.send(act, "POST", f"{path}/messages", body, **key)

    async def batch(self, act: Act) -> None:
        path = await self.pick(act.a)
        known = await self.pick_message(path, act.b)
        new = [message(self.fresh()) for _ in range(act.b % 6 + 1)]
        again = [{name: known[name] for name in ("id", "role", "content") if name in known}]
        body = {"messages": [*(again if act.b % 3 == 0 else []), *new]}
        await self.send(act, "POST", f"{path}/messages:batch", body)

    async def edit(self, act: Act) -> None:
        path = await self.pick(act.a)
        known = await self.pick_message(path, act.b)
        body = {"content": self.fresh()}
        await self.send(act, "PATCH", f"{path}/messages/{known['id']}", body)

    async def remove(self, act: Act) -> None:
        path = await self.pick(act.a)
        known = await self.pick_message(path, act.b)
        await self.send(act, "DELETE", f"{path}/messages/{known['id']}")

    async def fork(self, act: Act) -> None:
        path = await self.pick(act.a)
        known = await self.pick_message(path, act.b)
        said = message(self.fresh(), parent_id=known["id"])
        await self.send(act, "POST", f"{path}/messages", said)

    async def show_branch(self, act: Act) -> None:
        path = await self.pick(act.a)
        known = await self.pick_message(path, act.b)
        wanted = {"message_id": known["id"], "to_end": bool(act.b % 2)}
        await self.send(act, "PUT", f"{path}/active-leaf", wanted)

    async def replace_last(self, act: Act) -> None:
        path = await self.pick(act.a)
        for known in ({"id": "none"}, await self.pick_message(path, -1)):
            if "role" in known and known["role"] != "assistant":
                said = message(self.fresh(), "assistant", id=self.fresh())
                await self.send(act, "POST", f"{path}/messages", said)
                known = said  # noqa: PLW2901  # an answer that can be replaced
            body = message("again", "assistant", replaces=known["id"], id=f"sent{act.b}")
            for _ in range(2):
                await self.send(act, "POST", f"{path}/messages", body)

    # Replies.

    async def reply(self, act: Act) -> None:
        path = await self.pick(act.a)
        await self.send(act, "POST", f"{path}/replies", {"content": self.fresh()})

    async def regenerate(self, act: Act) -> None:
        path = await self.pick(act.a)
        body = {"regenerate": ("replace", "branch")[act.b % 2]}
        await self.send(act, "POST", f"{path}/replies", body)

    async def complete(self, act: Act) -> None:
        path = await self.pick(act.a)
        body = {"messages": [message(self.fresh())]}
        named = {"X-Conversation-Id": path.rpartition("/")[2]}
        await self.send(act, "POST", "/chat/completions", body, **named)

    async def fail(self, act: Act) -> None:
        self.fake_model.say(ScriptedAnswer(chunks=["a", "b"], cut_after=act.b % 3))
        path = await self.pick(act.a)
        browser = self.browsers[act.process]
        await (await browser.post(f"{path}/replies", json={"content": self.fresh()})).read()

    async def summarize(self, act: Act) -> None:
        path = await self.pick(act.a)
        self.fake_model.summary = ScriptedAnswer(chunks=[self.fresh()])
        await self.send(act, "POST", f"{path}/summary")

    async def cancel(self, act: Act) -> None:
        states = {"$in": ["waiting", "running"]}
        found = self.database.replies.find({"user_id": self.owner_id, "state": states})
        for reply in await found.sort("_id", -1).limit(1).to_list():
            path = f"/conversations/{reply['conversation_id']}/replies/{reply['_id']}/cancel"
            await self.send(act, "POST", path)

    # Commands.

    async def propose(self, act: Act) -> None:
        self.fake_model.say(ScriptedAnswer(chunks=["See."], calls=[ECHO] * (act.b % 2 + 1)))
        await self.reply(act)

    async def decide(self, act: Act, step: str) -> None:
        wanted = {"user_id": self.owner_id} | ({"status": "pending"} if act.a else {})
        found = self.database.commands.find(wanted).sort("_id", -1)
        for command in await found.limit(1).to_list():
            path = f"/conversations/{command['conversation_id']}/commands/{command['_id']}/{step}"
            for _ in range(act.b % 2 + 1):
                await self.send(act, "POST", path)

    async def approve(self, act: Act) -> None:
        await self.decide(act, "approve")

    async def reject(self, act: Act) -> None:
        await self.decide(act, "reject")

    async def execute(self, act: Act) -> None:
        path = await self.pick(act.a)
        known = await self.pick_message(path, act.b)
        path = f"{path}/messages/{known['id']}/execute-command"
        await self.send(act, "POST", path, {"command": "date"})


def seen(document: Mapping[str, Any]) -> Raw:
    """Return a document's fields without those that only say where its messages are stored."""
    return {name: value for name, value in document.items() if name not in HOUSEKEEPING}
