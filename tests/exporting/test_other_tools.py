"""Formats of other programs: OpenAI's messages and ShareGPT."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvault.errors import Busy
from chatvault.exporting.formats.openai_messages import OpenAIMessages
from chatvault.exporting.formats.sharegpt import ShareGPT
from chatvault.exporting.records import Completeness
from support.exporting import HOSTILE, exported_conversation, exported_message, written

CALL = {"id": "call-0", "name": "clock", "arguments": "{}"}
COMMAND = {
    "id": "c0",
    "call_id": "call-0",
    "tool": "clock",
    "arguments": "{}",
    "status": "executed",
    "code": None,
    "result": "ten",
    "truncated": False,
}
CONTENTS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "system"]), HOSTILE), max_size=5
)


def lines(text: bytes) -> list[Any]:
    assert text == b"" or text.endswith(b"\n")
    return [json.loads(line) for line in text.decode().split("\n")[:-1]]


class TestOpenAI:
    @given(contents=CONTENTS)
    def test_has_a_line_for_each_conversation(self, contents: list[tuple[str, str]]) -> None:
        messages = [exported_message(content, role) for role, content in contents]
        found = lines(written(OpenAIMessages(), *[(exported_conversation(), messages)] * 2))
        line = {"messages": [{"role": role, "content": content} for role, content in contents]}
        assert found == ([line] * 2 if contents else [])

    def test_has_prompt_and_tools(self) -> None:
        messages = [
            exported_message("", "assistant", tool_calls=[CALL], commands=[COMMAND]),
            exported_message("It is ten.", "assistant"),
        ]
        one = (exported_conversation(system_prompt="Be short."), messages)
        [found] = lines(written(OpenAIMessages(), one))
        prompt, asked, result, said = found["messages"]
        assert prompt == {"role": "system", "content": "Be short."}
        assert asked["tool_calls"][0]["function"] == {"name": "clock", "arguments": "{}"}
        assert result == {"role": "tool", "tool_call_id": "call-0", "content": "ten"}
        assert said == {"role": "assistant", "content": "It is ten."}

    def test_fails_if_messages_are_missing(self) -> None:
        with pytest.raises(Busy):
            written(
                OpenAIMessages(),
                (exported_conversation(), [exported_message()]),
                end=Completeness.CUT,
            )


class TestShareGPT:
    @given(contents=CONTENTS)
    def test_is_one_array(self, contents: list[tuple[str, str]]) -> None:
        messages = [exported_message(content, role) for role, content in contents]
        found = json.loads(written(ShareGPT(), *[(exported_conversation(), messages)] * 2))
        names = {"user": "human", "assistant": "gpt", "system": "system"}
        turns = [{"from": names[role], "value": content} for role, content in contents]
        assert [each["conversations"] for each in found] == [turns] * 2

    def test_has_prompt_and_tools(self) -> None:
        message = exported_message("", "assistant", tool_calls=[CALL], commands=[COMMAND])
        one = (exported_conversation(system_prompt="Be short."), [message])
        [found] = json.loads(written(ShareGPT(), one))
        assert found["title"] == "The time in Tokyo"
        assert found["conversations"] == [
            {"from": "system", "value": "Be short."},
            {"from": "function_call", "value": '{"name":"clock","arguments":"{}"}'},
            {"from": "observation", "value": "ten"},
        ]

    def test_is_an_empty_array_without_conversations(self) -> None:
        assert json.loads(written(ShareGPT())) == []

    def test_marks_an_incomplete_conversation(self) -> None:
        one = (exported_conversation(), [exported_message()])
        [found] = json.loads(written(ShareGPT(), one, end=Completeness.CUT))
        assert found["completeness"] == "cut"
