"""Live events of commands: each step of each, in both sets of frames."""

from typing import Any

from conftest import HttpClient
from support.answers import found
from support.factories import begin, message
from support.fake_model import FakeModel
from support.following import Follower, hear, hear_until
from support.tooling import Grant, answered, commands_of, path_to, propose

STEPS = ["pending", "approved", "executed"]


class TestSimpleFrames:
    async def test_show_each_step_of_a_command(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")
        simple = {"frames": "simple"}
        async with (
            alice.ws_connect("/ws", params=simple) as hers,
            bob.ws_connect("/ws", params=simple) as his,
        ):
            await hear(hers)
            await hear(his)
            conversation, [command] = await propose(
                alice, fake_model, ("lab__echo", '{"text": "hi"}')
            )
            told = [await hear_until(hers, "command_update")]
            await alice.post(path_to(conversation, command, "approve"))
            while told[-1]["command"]["status"] != "executed":
                told.append(await hear_until(hers, "command_update"))
            stored = await answered(alice, conversation)
            own = await begin(bob, messages=[message()])
            assert (await hear(his))["conversationId"] == own["id"]

        [kept] = commands_of(stored)
        carrier = next(each for each in stored["messages"] if each.get("commands"))
        for frame in told:
            assert frame.keys() == {"type", "conversationId", "messageId", "command"}
            assert frame["conversationId"] == conversation["id"]
            assert frame["messageId"] == carrier["id"]
            assert frame["command"]["id"] == command["id"]
        # A frame shows a command as it is when it is sent.
        places = [STEPS.index(frame["command"]["status"]) for frame in told]
        assert places == sorted(places)
        assert places[0] == 0
        assert told[-1]["command"] == kept
        assert kept["result"] == "heard: hi"

    async def test_have_no_command_where_its_message_is_gone(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ("lab__echo", '{"text": "hi"}'))
        follower = await Follower(alice).open()
        await alice.post(path_to(conversation, command, "reject"))
        rejected = await follower.until("command.updated")
        carrier = next(
            each
            for each in (await found(alice, conversation["id"]))["messages"]
            if each.get("commands")
        )
        path = f"/conversations/{conversation['id']}/messages/{carrier['id']}"
        assert (await alice.delete(path)).status == 204

        async with alice.ws_connect(
            "/ws", params={"frames": "simple", "after": before(follower, rejected)}
        ) as socket:
            update = await hear_until(socket, "command_update")

        assert rejected["status"] == "rejected"
        assert (update["command"], update["messageId"]) == (None, None)


def before(follower: Follower, frame: dict[str, Any]) -> str:
    """Return the id of the frame before this one."""
    place = follower.frames.index(frame)
    return str(follower.frames[place - 1]["id"])
