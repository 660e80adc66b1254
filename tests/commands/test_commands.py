"""Commands: proposed by a model, approved by a person, run once, and followed by an answer."""

import asyncio
import json
from typing import Any

import pytest

from chatvault.background import SERVERS
from conftest import HttpClient
from support.answers import found, problem
from support.factories import PASSWORD, begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.talking import EVENT_STREAM, ask, begin_stream, events_of, next_event, path_of, until
from support.tooling import Grant, Notes, answered, commands_of, path_to, propose

ECHO = ("lab__echo", '{"text": "hi"}')


class TestProposing:
    async def test_offers_the_tools_that_the_user_may_use(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo", "lab__sleep")
        conversation = await begin(alice, mcp_enabled=True, title="T")

        await ask(alice, conversation)

        [request] = fake_model.requests
        offered = {tool["function"]["name"]: tool["function"] for tool in request["tools"]}
        assert offered.keys() == {"lab__echo", "lab__sleep"}
        assert offered["lab__echo"]["description"] == "Say it again."
        assert offered["lab__echo"]["parameters"]["required"] == ["text"]

    async def test_offers_no_tool_without_a_grant(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        conversation = await begin(alice, mcp_enabled=True, title="T")

        await ask(alice, conversation)

        assert "tools" not in fake_model.requests[0]

    async def test_offers_nothing_if_tools_are_disabled(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")

        await ask(alice, await begin(alice, title="T"))

        assert "tools" not in fake_model.requests[0]

    async def test_offers_only_tools_that_the_agent_allows(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo", "lab__sleep")
        wanted = {"name": "Quiet", "allowed_tools": ["lab__sleep"]}
        agent = await (await alice.post("/agents", json=wanted)).json()
        conversation = await begin(alice, mcp_enabled=True, agent_id=agent["id"], title="T")

        await ask(alice, conversation)

        assert [each["function"]["name"] for each in fake_model.requests[0]["tools"]] == [
            "lab__sleep"
        ]

    async def test_lists_offered_tools_in_the_context(
        self, alice: HttpClient, tools: Grant
    ) -> None:
        await tools("lab__echo")
        plain = await begin(alice)
        armed = await begin(alice, mcp_enabled=True)

        without = await (await alice.get(f"/conversations/{plain['id']}/context")).json()
        shown = await (await alice.get(f"/conversations/{armed['id']}/context")).json()

        assert [each["function"]["name"] for each in shown["tools"]] == ["lab__echo"]
        assert without["tools"] == []
        assert shown["tokens"] > without["tokens"] + 20

    async def test_creates_a_pending_command_for_a_call(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")

        conversation, [command] = await propose(alice, fake_model, ECHO)

        assert (command["status"], command["tool"]) == ("pending", "lab__echo")
        assert (command["call_id"], command["arguments"]) == ("call-0", '{"text": "hi"}')
        assert command["result"] is command["decided_at"] is command["executed_at"] is None
        path = f"/conversations/{conversation['id']}/commands"
        [listed] = await (await alice.get(path, params={"status": "pending"})).json()
        assert listed.items() > command.items()
        assert (
            listed["message_id"] == (await found(alice, conversation["id"]))["messages"][-1]["id"]
        )
        assert await (await alice.get(path, params={"status": "executed"})).json() == []
        assert await (await alice.get(path_to(conversation, command))).json() == listed
        assert notes.lines == []

    @pytest.mark.parametrize(
        ("call", "code"),
        [
            (("lab__nothing", "{}"), "unknown_tool"),
            (("lab__sleep", "{}"), "unknown_tool"),
            (("lab__echo", '{"text": '), "invalid_arguments"),
            (("lab__echo", "[1]"), "invalid_arguments"),
        ],
    )
    async def test_rejects_a_call_that_cannot_run_and_continues(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        call: tuple[str, str],
        code: str,
    ) -> None:
        await tools("lab__echo")

        conversation, _ = await propose(alice, fake_model, call)

        shown = await answered(alice, conversation)
        [command] = commands_of(shown)
        assert (command["status"], command["code"]) == ("failed", code)
        told = fake_model.requests[1]["messages"][-1]
        assert (told["role"], told["content"]) == ("tool", command["result"])

    async def test_limits_the_calls_of_an_answer(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")

        _, commands = await propose(alice, fake_model, *[ECHO] * 18)

        assert [each["status"] for each in commands] == ["pending"] * 16 + ["failed"] * 2
        assert commands[-1]["code"] == "too_many_calls"

    async def test_ends_after_too_many_rounds(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")
        fake_model.usual = ScriptedAnswer(chunks=["Again."], calls=[("nothing", "{}")])
        conversation = await begin(alice, mcp_enabled=True, title="T")

        answer = await begin_stream(alice, conversation, "Do it")
        events = await events_of(answer)

        assert events[-1].data["code"] == "too_many_rounds"
        assert len(fake_model.requests) == 10
        fake_model.usual = None
        assert (await ask(alice, conversation, "Stop"))["state"] == "completed"


class TestApproving:
    async def test_runs_the_command_and_continues_with_the_result(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        fake_model.say("It heard you.")

        answer = await alice.post(path_to(conversation, command, "approve"))

        ran = await answer.json()
        assert answer.status == 200
        assert (ran["status"], ran["result"], ran["code"]) == ("executed", "heard: hi", None)
        assert (ran["decided_by"], ran["truncated"]) == ("person", False)
        assert ran["created_at"] <= ran["decided_at"] <= ran["executed_at"]
        shown = await answered(alice, conversation)
        assert [each["role"] for each in shown["messages"]] == ["user", "assistant", "assistant"]
        assert shown["messages"][-1]["content"] == "It heard you."
        told = fake_model.requests[1]["messages"]
        assert [each["role"] for each in told] == ["system", "user", "assistant", "tool"]
        assert told[2]["tool_calls"][0]["id"] == told[3]["tool_call_id"] == "call-0"
        assert told[3]["content"] == "heard: hi"
        assert notes.lines == ["echo hi"]

    async def test_runs_once_for_repeated_and_concurrent_approvals(
        self, alice: HttpClient, http: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__sleep")
        conversation, [command] = await propose(
            alice, fake_model, ("lab__sleep", '{"seconds": 0.2, "key": "once"}')
        )
        path = path_to(conversation, command, "approve")
        await http.post("/auth/login", json={"username": "alice", "password": PASSWORD})

        clicks = [alice.post(path) if number % 2 else http.post(path) for number in range(50)]
        answers = await asyncio.gather(*clicks)

        assert {answer.status for answer in answers} == {200}
        assert {(await answer.json())["status"] for answer in answers} == {"executed"}
        assert notes.lines == ["sleep once", "slept once"]
        await answered(alice, conversation)
        assert len(fake_model.requests) == 2

    async def test_continues_after_the_last_of_several_commands(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, commands = await propose(
            alice, fake_model, ECHO, ("lab__echo", '{"text": "b"}'), ("lab__echo", '{"text": "c"}')
        )

        for command in commands[:2]:
            await alice.post(path_to(conversation, command, "approve"))
        await asyncio.sleep(0.1)
        assert len(fake_model.requests) == 1
        await alice.post(path_to(conversation, commands[2], "reject"))
        await answered(alice, conversation)

        told = fake_model.requests[1]["messages"][-3:]
        assert [each["content"] for each in told] == [
            "heard: hi", "heard: b", "The user rejected this call.",
        ]  # fmt: skip
        assert notes.lines == ["echo hi", "echo b"]

    async def test_answers_at_once_if_preferred(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__sleep")
        conversation, [command] = await propose(
            alice, fake_model, ("lab__sleep", '{"seconds": 0.2}')
        )

        answer = await alice.post(
            path_to(conversation, command, "approve"), headers={"Prefer": "respond-async"}
        )

        assert (answer.status, (await answer.json())["status"]) == (202, "approved")
        assert answer.headers["Location"] == path_to(conversation, command)
        shown = await answered(alice, conversation)
        assert commands_of(shown)[0]["status"] == "executed"

    async def test_sends_the_rest_to_followers_of_the_reply(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")
        conversation = await begin(alice, mcp_enabled=True, title="T")
        fake_model.say(ScriptedAnswer(chunks=["Let me look."], calls=[ECHO]), "Done.")
        stream = await begin_stream(alice, conversation, "Do it")
        before = []
        while (event := await next_event(stream)) is not None:
            before.append(event)
            if event.type == "waiting":
                break
        assert event is not None
        [command] = event.data["message"]["commands"]

        await alice.post(path_to(conversation, command, "approve"))

        after = await events_of(stream)
        assert [each.type for each in after] == ["commands_settled", "delta", "usage", "completed"]
        assert after[0].data["message"]["commands"][0]["result"] == "heard: hi"
        assert [each.id for each in before + after] == list(range(1, len(before + after) + 1))
        reply = path_of(conversation, event.data["reply_id"], "events")
        replayed = await events_of(await alice.get(reply, headers=EVENT_STREAM))
        assert [each.type for each in replayed] == [each.type for each in before + after]
        resumed = await events_of(await alice.get(reply, headers={"Last-Event-ID": str(event.id)}))
        assert [each.id for each in resumed] == [each.id for each in after]

    async def test_starts_another_round_for_further_calls(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [first] = await propose(alice, fake_model, ECHO)
        fake_model.say(
            ScriptedAnswer(chunks=["And."], calls=[("lab__echo", '{"text": "two"}')]), "Done."
        )
        await alice.post(path_to(conversation, first, "approve"))
        for _ in range(1000):
            commands = commands_of(await found(alice, conversation["id"]))
            if len(commands) == 2:
                break

        await alice.post(path_to(conversation, commands[1], "approve"))

        shown = await answered(alice, conversation)
        assert [each["content"] for each in shown["messages"]] == [
            "Do it", "Let me look.", "And.", "Done.",
        ]  # fmt: skip
        assert len({each["id"] for each in shown["messages"]}) == 4
        assert len({each.get("reply_id") for each in shown["messages"][1:]}) == 1
        assert notes.lines == ["echo hi", "echo two"]

    async def test_shows_the_question_again_to_an_agent_without_memory(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")
        wanted = {"name": "Forgetful", "conversation_memory_enabled": False, "history_limit": 1}
        agent = await (await alice.post("/agents", json=wanted)).json()
        history = [message("Long ago")]
        conversation, [command] = await propose(
            alice, fake_model, ECHO, agent_id=agent["id"], messages=history
        )

        await alice.post(path_to(conversation, command, "approve"))
        await answered(alice, conversation)

        assert [each["role"] for each in fake_model.requests[0]["messages"]] == ["system", "user"]
        told = fake_model.requests[1]["messages"]
        assert [each["role"] for each in told] == ["system", "user", "assistant", "tool"]
        assert told[1]["content"] == "Do it"

    async def test_ends_if_the_result_exceeds_the_token_budget(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__big")
        wanted = {"name": "Small", "max_conversation_tokens": 2000}
        agent = await (await alice.post("/agents", json=wanted)).json()
        conversation = await begin(alice, mcp_enabled=True, title="T", agent_id=agent["id"])
        fake_model.say(
            ScriptedAnswer(chunks=["Let me look."], calls=[("lab__big", '{"size": 20000}')])
        )
        stream = await begin_stream(alice, conversation, "Do it")
        while (event := await next_event(stream)) is not None and event.type != "waiting":
            pass
        assert event is not None
        [command] = event.data["message"]["commands"]

        await alice.post(path_to(conversation, command, "approve"))

        [last] = await events_of(stream)
        assert (last.type, last.data["code"]) == ("error", "token_limit_reached")
        state = await (await alice.get(path_of(conversation, last.data["reply_id"]))).json()
        assert (state["state"], state["code"]) == ("failed", "token_limit_reached")

    async def test_reports_a_tool_that_failed(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__fail")
        conversation, [command] = await propose(
            alice, fake_model, ("lab__fail", '{"reason": "rust"}')
        )

        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert (ran["status"], ran["code"]) == ("failed", "tool_failed")
        assert "rust" in ran["result"]
        await answered(alice, conversation)
        assert "rust" in fake_model.requests[1]["messages"][-1]["content"]

    async def test_marks_a_truncated_result(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__big")
        conversation, [command] = await propose(alice, fake_model, ("lab__big", '{"size": 50000}'))

        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert (ran["status"], ran["truncated"]) == ("executed", True)
        assert ran["result"] == "é" * (32 * 1024)

    async def test_stops_a_tool_that_takes_too_long(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        tools: Grant,
        app: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await tools("lab__sleep")
        for server in app[SERVERS]:
            monkeypatch.setattr(server, "_timeout", 0.3)
        conversation, [command] = await propose(
            alice, fake_model, ("lab__sleep", '{"seconds": 30}')
        )

        ran = await (await alice.post(path_to(conversation, command, "approve"))).json()

        assert (ran["status"], ran["code"]) == ("failed", "tool_timed_out")

    async def test_is_refused_after_the_permission_was_revoked(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, database: Any, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        await database.tool_grants.delete_many({})

        refused = await alice.post(path_to(conversation, command, "approve"))

        await problem(refused, 403, "tool_not_permitted")
        assert notes.lines == []

    async def test_is_refused_after_tools_were_disabled(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        path = f"/conversations/{conversation['id']}"
        await alice.patch(path, json={"mcp_enabled": False})

        refused = await alice.post(path_to(conversation, command, "approve"))
        await problem(refused, 409, "mcp_not_enabled")
        await alice.patch(path, json={"mcp_enabled": True, "status": "archived"})
        refused = await alice.post(path_to(conversation, command, "approve"))
        await problem(refused, 409, "conversation_archived")

    async def test_is_refused_after_a_rejection_and_vice_versa(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [rejected] = await propose(alice, fake_model, ECHO)
        other, [approved] = await propose(alice, fake_model, ECHO)

        await alice.post(path_to(conversation, rejected, "reject"))
        again = await alice.post(path_to(conversation, rejected, "reject"))
        assert (again.status, (await again.json())["status"]) == (200, "rejected")
        refused = await alice.post(path_to(conversation, rejected, "approve"))
        await problem(refused, 409, "command_settled")
        await alice.post(path_to(other, approved, "approve"))
        refused = await alice.post(path_to(other, approved, "reject"))
        await problem(refused, 409, "command_settled")
        assert notes.lines == ["echo hi"]


class TestIds:
    @pytest.mark.parametrize("given", ["", "same", "x" * 1000])
    async def test_match_results_even_if_empty_or_repeated(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, given: str
    ) -> None:
        await tools("lab__echo")
        calls = [("lab__echo", json.dumps({"text": text}), given) for text in ("one", "two")]
        conversation, commands = await propose(alice, fake_model, *calls)

        for command in commands:
            await alice.post(path_to(conversation, command, "approve"))
        await answered(alice, conversation)

        *_, said, first, second = fake_model.requests[1]["messages"]
        ids = [call["id"] for call in said["tool_calls"]]
        assert all(0 < len(each) < 100 for each in ids)
        assert len(set(ids)) == 2
        assert [each["tool_call_id"] for each in (first, second)] == ids
        assert [each["content"] for each in (first, second)] == ["heard: one", "heard: two"]
        shown = (await found(alice, conversation["id"]))["messages"][1]
        assert [call["id"] for call in shown["tool_calls"]] == ids
        assert [command["call_id"] for command in shown["commands"]] == ids


class TestSuperseding:
    async def test_happens_with_a_new_message_to_the_agent(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        first = (await found(alice, conversation["id"]))["messages"][-1]["reply_id"]

        await ask(alice, conversation, "Never mind")

        [left] = commands_of(await found(alice, conversation["id"]))
        assert (left["status"], left["code"]) == ("rejected", "superseded")
        await ask(alice, conversation, "Well?")
        told = [
            each["content"] for each in fake_model.requests[2]["messages"] if each["role"] == "tool"
        ]
        assert told == ["The user went on without this call."]
        refused = await alice.post(path_to(conversation, command, "approve"))
        await problem(refused, 409, "command_settled")
        state = await (await alice.get(path_of(conversation, first))).json()
        assert state["state"] == "superseded"
        stream = await alice.get(path_of(conversation, first, "events"), headers=EVENT_STREAM)
        assert (await events_of(stream))[-1].data["state"] == "superseded"
        assert notes.lines == []

    async def test_happens_with_a_message_that_is_only_stored(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        await alice.post(f"/conversations/{conversation['id']}/messages", json=message("Wait"))

        refused = await alice.post(path_to(conversation, command, "approve"))

        await problem(refused, 409, "command_superseded")
        assert notes.lines == []
        await ask(alice, conversation, "Go on")
        assert commands_of(await found(alice, conversation["id"]))[0]["code"] == "superseded"

    async def test_happens_with_a_recorded_completion(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)

        asked = {"messages": [{"role": "user", "content": "By the other door"}]}
        headers = {"X-Conversation-Id": conversation["id"]}
        answer = await alice.post("/chat/completions", json=asked, headers=headers)

        assert answer.status == 200
        [left] = commands_of(await found(alice, conversation["id"]))
        assert (left["status"], left["code"]) == ("rejected", "superseded")
        refused = await alice.post(path_to(conversation, command, "approve"))
        await problem(refused, 409, "command_settled")
        assert notes.lines == []

    async def test_happens_with_a_cancellation(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        reply_id = (await found(alice, conversation["id"]))["messages"][-1]["reply_id"]

        state = await (await alice.post(path_of(conversation, reply_id, "cancel"))).json()

        assert state["state"] == "cancelled"
        refused = await alice.post(path_to(conversation, command, "approve"))
        await problem(refused, 409, "command_settled")
        assert notes.lines == []

    async def test_lets_a_running_command_end_without_its_reply(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__sleep")
        conversation, [command] = await propose(
            alice, fake_model, ("lab__sleep", '{"seconds": 0.4}')
        )
        running = asyncio.create_task(alice.post(path_to(conversation, command, "approve")))
        await until(lambda: notes.lines)

        await ask(alice, conversation, "Meanwhile")

        assert (await (await running).json())["status"] == "executed"
        await asyncio.sleep(0.2)
        assert len(fake_model.requests) == 2

    async def test_leaves_nothing_to_approve_if_the_message_is_removed(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo", "lab__sleep")
        conversation, [command] = await propose(alice, fake_model, ECHO)
        path = f"/conversations/{conversation['id']}/messages"
        last = (await found(alice, conversation["id"]))["messages"][-1]

        await alice.delete(f"{path}/{last['id']}")

        refused = await alice.post(path_to(conversation, command, "approve"))
        await problem(refused, 404, "not_found")
        assert (await ask(alice, conversation, "Go on"))["state"] == "completed"
        assert notes.lines == []


class TestRules:
    async def test_approve_the_calls_of_a_tool(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo", auto=True)
        rule = await (await alice.put("/mcp/rules/lab__echo")).json()
        assert (rule["tool"], rule["is_effective"]) == ("lab__echo", True)
        conversation = await begin(alice, mcp_enabled=True, title="T")
        fake_model.say(ScriptedAnswer(chunks=["Let me look."], calls=[ECHO, ECHO]), "Done.")

        await ask(alice, conversation, "Do it")

        shown = await answered(alice, conversation)
        assert [(each["status"], each["decided_by"]) for each in commands_of(shown)] == [
            ("executed", "rule")
        ] * 2
        assert notes.lines == ["echo hi"] * 2

    async def test_require_a_separate_permission(
        self, alice: HttpClient, tools: Grant, database: Any
    ) -> None:
        await tools("lab__echo")

        await problem(await alice.put("/mcp/rules/lab__echo"), 403, "auto_approval_not_permitted")
        await problem(await alice.put("/mcp/rules/lab__big"), 403, "auto_approval_not_permitted")
        assert await database.approval_rules.count_documents({}) == 0

    async def test_apply_to_their_user_only(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo", auto=True)
        await alice.put("/mcp/rules/lab__echo")

        _, [command] = await propose(bob, fake_model, ECHO)

        assert command["status"] == "pending"
        assert await (await bob.get("/mcp/rules")).json() == []
        await problem(await bob.delete("/mcp/rules/lab__echo"), 404, "tool_not_found")
        assert len(await (await alice.get("/mcp/rules")).json()) == 1

    async def test_end_with_the_permission_or_when_they_are_removed(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, notes: Notes
    ) -> None:
        await tools("lab__echo", auto=True)
        await alice.put("/mcp/rules/lab__echo")
        await alice.put("/mcp/rules/lab__echo")
        await tools("lab__echo")

        _, [command] = await propose(alice, fake_model, ECHO)

        assert command["status"] == "pending"
        [rule] = await (await alice.get("/mcp/rules")).json()
        assert rule["is_effective"] is False
        assert (await alice.delete("/mcp/rules/lab__echo")).status == 204
        await tools("lab__echo", auto=True)
        _, [command] = await propose(alice, fake_model, ECHO)
        assert command["status"] == "pending"
        assert notes.lines == []


class TestTools:
    async def test_are_listed_with_the_readers_permissions(
        self, alice: HttpClient, tools: Grant
    ) -> None:
        await tools("lab__echo", auto=True)
        await tools("terminal_command")

        shown = {each["name"]: each for each in await (await alice.get("/mcp/tools")).json()}

        assert shown.keys() == {
            "lab__echo", "lab__sleep", "lab__big", "lab__fail", "lab__environment", "lab__die",
            "lab__pid", "terminal_command",
        }  # fmt: skip
        echo, terminal, big = (
            shown[name] for name in ("lab__echo", "terminal_command", "lab__big")
        )
        assert (echo["permitted"], echo["auto_approval_permitted"]) == (True, True)
        assert (terminal["permitted"], terminal["auto_approval_permitted"]) == (True, False)
        assert (big["permitted"], big["auto_approved"]) == (False, False)
        # What the operator set is shown to nobody.
        assert terminal["input_schema"]["properties"].keys() == {"command"}
        assert terminal["input_schema"]["required"] == ["command"]

    async def test_servers_are_listed_with_their_state(
        self, alice: HttpClient, tools: Grant
    ) -> None:
        [server] = await (await alice.get("/mcp/servers")).json()

        assert (server["name"], server["transport"]) == ("lab", "http")
        assert (server["state"], server["tools"], server["failures"]) == ("connected", 8, 0)


class TestAudit:
    async def test_has_every_step_without_arguments(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, database: Any
    ) -> None:
        await tools("lab__echo")
        conversation, commands = await propose(
            alice, fake_model, ("lab__echo", '{"text": "hush"}'), ECHO, ("secretly", "{}")
        )
        await alice.post(path_to(conversation, commands[0], "approve"))
        await alice.post(path_to(conversation, commands[1], "reject"))
        await answered(alice, conversation)

        query = {"action": {"$regex": "^(command|reply)"}, "resource_id": conversation["id"]}
        entries = await database.audit_logs.find(query).sort("at", 1).to_list()
        steps = [(each["action"], each["outcome"]) for each in entries]
        assert sorted(steps[:5]) == sorted([
            ("reply.create", "success"),
            ("command.propose", "success"),
            ("command.propose", "success"),
            ("command.propose", "failed"),
            ("reply.finish", "success"),
        ])  # fmt: skip
        assert steps[5:] == [
            ("command.approve", "success"),
            ("command.execute", "success"),
            ("command.reject", "success"),
            ("reply.continue", "success"),
            ("reply.finish", "success"),
        ]
        assert entries[5]["details"]["command_id"] == commands[0]["id"]
        assert {"hush", "secretly"}.isdisjoint(json.dumps(entries, default=str).split('"'))
        assert "hush" not in str(entries)

    async def test_has_no_invented_names_beyond_the_limit_of_calls(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, database: Any
    ) -> None:
        await tools("lab__echo")

        _, commands = await propose(alice, fake_model, *[ECHO] * 16, ("secretly", "{}"))

        assert commands[-1]["code"] == "unknown_tool"
        entries = await database.audit_logs.find({"action": "command.propose"}).to_list()
        assert len(entries) == 17
        assert "secretly" not in str(entries)
