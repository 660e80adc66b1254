"""What a model gets of messages that hold more than words."""

from typing import Any

import pytest

from chatvault.replies.model_messages import MAX_DISTANCE, NO_RESULT, Wire, pair_up
from conftest import HttpClient
from support.factories import begin, message

CALL = {"type": "tool_call", "id": "c1", "name": "canmore.create", "input": {"a": 1}}
RESULT = {"type": "tool_result", "call_id": "c1", "output": "noon"}


def stored(role: str, content: str = "", *parts: Any, **more: Any) -> Any:
    """A message as it is stored; its id tells it from others."""
    held = {"parts": list(parts)} if parts else {}
    return {"id": f"{role}-{content}", "role": role, "content": content, **held, **more}


def flat(*messages: Any) -> list[Wire]:
    found = pair_up(messages)
    assert len(found) == len(messages)
    return [wire for wires in found for wire in wires]


class TestCalls:
    def test_are_sent_with_their_results(self) -> None:
        said, told, answer = flat(
            stored("assistant", "Let me see.", {"type": "text", "text": "Let me see."}, CALL),
            stored("tool", "", RESULT),
            stored("assistant", "Noon."),
        )

        [call] = said["tool_calls"]
        assert (said["role"], said["content"]) == ("assistant", "Let me see.")
        assert call["function"] == {"name": "canmore_create", "arguments": '{"a":1}'}
        assert told == {"role": "tool", "tool_call_id": call["id"], "content": "noon"}
        assert len(call["id"]) <= 40
        assert answer == {"role": "assistant", "content": "Noon."}

    def test_of_one_message_each_have_their_own_result(self) -> None:
        other = {"type": "tool_call", "id": "c2", "name": "clock", "input": "now"}
        said, *told = flat(
            stored("assistant", "", CALL, other),
            stored("tool", "", {"type": "tool_result", "call_id": "c2", "output": {"at": 2}}),
            stored("tool", "", RESULT),
        )

        assert [wire["content"] for wire in told] == ["noon", '{"at":2}']
        assert [wire["tool_call_id"] for wire in told] == [
            each["id"] for each in said["tool_calls"]
        ]
        assert said["tool_calls"][1]["function"]["arguments"] == '{"input":"now"}'
        assert said["content"] is None

    def test_without_ids_are_paired_with_results_by_order(self) -> None:
        call = {"type": "tool_call", "name": "python", "input": "1"}
        _, told, _, none = flat(
            stored("assistant", "", call),
            stored("tool", "2", {"type": "tool_result", "name": "python", "output": "2"}),
            stored("assistant", "x", call),
            stored("tool", "", {"type": "tool_result", "name": "browser", "output": "3"}),
        )

        assert (told["content"], none["content"]) == ("2", NO_RESULT)

    def test_are_sent_with_a_result_in_the_same_message(self) -> None:
        said, told = flat(stored("assistant", "", CALL, RESULT))

        assert (len(said["tool_calls"]), told["content"]) == (1, "noon")

    def test_without_a_result_are_marked(self) -> None:
        wires = flat(stored("assistant", "", CALL), stored("user", "And?"))

        assert [wire["role"] for wire in wires] == ["assistant", "tool", "user"]
        assert wires[1]["content"] == NO_RESULT

    def test_do_not_wait_for_results_without_a_limit(self) -> None:
        later = [stored("assistant", str(number)) for number in range(MAX_DISTANCE)]
        wires = flat(stored("assistant", "", CALL), *later, stored("tool", "", RESULT))

        assert wires[1]["content"] == NO_RESULT
        assert len(wires) == 2 + MAX_DISTANCE

    def test_are_shortened(self) -> None:
        call = {**CALL, "input": {"a": "x" * 100_000}}
        said, told = flat(stored("assistant", "", call, {**RESULT, "output": "y" * 100_000}))

        assert len(said["tool_calls"][0]["function"]["arguments"]) < 70_000
        assert len(told["content"]) < 70_000


class TestOmitted:
    @pytest.mark.parametrize(
        "left_out",
        [
            stored("assistant", "secret", hidden=True),
            stored("assistant", "", {"type": "thinking", "text": "secret"}),
            stored("tool", "secret", RESULT),
            stored("tool", "secret"),
            stored("user", "", {"type": "raw", "source_type": "x", "value": "secret"}),
            stored("assistant", "secret", CALL, RESULT, hidden=True),
        ],
    )
    def test_are_messages_that_are_not_for_models(self, left_out: Any) -> None:
        assert pair_up([left_out]) == [[]]
        assert flat(stored("user", "Hi"), left_out, stored("user", "Ho")) == [
            {"role": "user", "content": "Hi"},
            {"role": "user", "content": "Ho"},
        ]

    def test_are_thoughts_beside_text(self) -> None:
        answer = stored("assistant", "Noon.", {"type": "thinking", "text": "secret"})

        assert flat(answer) == [{"role": "assistant", "content": "Noon."}]


def test_a_file_without_text_is_named() -> None:
    file = {"type": "file", "attachment_id": "a", "name": "map.png"}
    spoken = {"type": "file", "attachment_id": "b", "transcript": "Hello there."}

    assert flat(stored("user", "", file, spoken)) == [
        {"role": "user", "content": "[File: map.png]\n\nHello there."}
    ]


async def test_a_context_has_only_messages_for_models(alice: HttpClient) -> None:
    messages = [
        message("What time?"),
        message("secret", "assistant", hidden=True),
        message("", "assistant", parts=[{"type": "thinking", "text": "secret"}, CALL]),
        message("", "tool", parts=[RESULT]),
        message("Noon.", "assistant", id="answer"),
    ]
    begun = await begin(alice, messages=messages)
    path = f"/conversations/{begun['id']}/context"
    shown = await (await alice.get(path)).json()

    sent = [each for each in shown["messages"] if each["role"] != "system"]
    assert [each["role"] for each in sent] == ["user", "assistant", "tool", "assistant"]
    assert "secret" not in str(shown)
    assert (len(shown["message_ids"]), shown["left_out"]) == (3, 2)
