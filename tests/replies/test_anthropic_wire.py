"""A request in OpenAI's shape becomes one that Anthropic's Messages API accepts."""

from typing import Any

import pytest

from chatvault.replies.anthropic_wire import EARLIER, to_body, to_messages
from chatvault.replies.errors import ModelRefused
from chatvault.replies.model_calls import ModelRequest

PICTURE = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def body(*messages: dict[str, Any], **options: Any) -> dict[str, Any]:
    return to_body(
        ModelRequest(provider="claude", model="m", messages=[*messages], options=options)
    )


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: str | None, *calls: tuple[str, str]) -> dict[str, Any]:
    made = [
        {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}
        for call_id, arguments in calls
    ]
    return {"role": "assistant", "content": content, **({"tool_calls": made} if made else {})}


def test_system_messages_come_first_wherever_they_stood() -> None:
    made = body(
        {"role": "system", "content": "Be brief."},
        user("a"),
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    )

    assert made["system"] == "Be brief.\n\nBe kind."
    assert [each["role"] for each in made["messages"]] == ["user"]


def test_neighbours_of_one_role_become_one_message() -> None:
    made = to_messages([user("a"), user("b"), assistant("c"), assistant(" \n"), user("")])

    assert [(each["role"], len(each["content"])) for each in made] == [
        ("user", 2),
        ("assistant", 1),
    ]


@pytest.mark.parametrize("messages", [[assistant("Hello")], []], ids=["an answer", "nothing"])
def test_a_users_message_is_first(messages: list[dict[str, Any]]) -> None:
    first, *rest = to_messages(messages)

    assert first == {"role": "user", "content": [{"type": "text", "text": EARLIER}]}
    assert len(rest) == len(messages)


def test_ids_of_calls_are_ones_that_the_api_accepts() -> None:
    strange = "call:1/ü" * 20
    made = to_messages(
        [user("a"), assistant(None, (strange, "{}"), ("ok-1", "[1]"), ("c", "no JSON")),
         {"role": "tool", "tool_call_id": strange, "content": "x"},
         {"role": "tool", "tool_call_id": "ok-1", "content": ""}]
    )  # fmt: skip

    uses, results = made[1]["content"], made[2]["content"]
    assert uses[0]["id"] == results[0]["tool_use_id"] != strange
    assert len(uses[0]["id"]) <= 64
    assert uses[1]["id"] == results[1]["tool_use_id"] == "ok-1"
    assert [each["input"] for each in uses] == [{}, {"input": [1]}, {"input": "no JSON"}]


def test_pictures_and_pdfs_are_passed_on() -> None:
    made = to_messages([user([
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
    ])])  # fmt: skip

    [_, inline, linked, pdf] = made[0]["content"]
    assert inline["source"] == {
        "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=",
    }  # fmt: skip
    assert linked["source"] == {"type": "url", "url": "https://example.org/a.png"}
    assert (pdf["type"], pdf["source"]["media_type"]) == ("document", "application/pdf")


@pytest.mark.parametrize(
    "part", [{"type": "input_audio"}, {"type": "file", "file": {"file_id": "file-1"}}]
)
def test_other_media_are_refused(part: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused, match="texts, pictures and PDFs"):
        to_messages([user([part])])


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"type": "tool", "name": "f"},
        ),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_a_tool_is_kept(options: dict[str, Any], choice: Any) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]

    made = body(user("a"), tools=tools, **options)

    assert made["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert made.get("tool_choice") == choice


def test_a_wanted_schema_is_kept() -> None:
    schema = {"type": "object", "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}

    made = body(user("a"), response_format=wanted, seed=1, top_p=0.5)

    assert made["output_config"]["format"] == {"type": "json_schema", "schema": schema}
    assert made.keys() == {"model", "max_tokens", "messages", "output_config"}
