"""What the other products export, and what is particular in each."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from support.foreign import (
    FILES,
    ai_studio,
    as_json,
    chatbot_ui,
    codex,
    gemini_cli,
    grok,
    librechat,
    lines,
    open_webui,
    openai_messages,
    sharegpt,
    silly_tavern,
)
from support.imports import by_text, parts_of, path_of, read, read_all, read_one


class TestOpenWebUi:
    def test_splits_details_from_the_text(self) -> None:
        found = read_one(open_webui())
        assert path_of(found) == ["How deep?", "Very deep."]
        [thought] = parts_of(found, "thinking")
        assert (thought["text"], thought["duration_s"]) == ("Is it <deep>?\nYes.", 3)
        [call] = parts_of(found, "tool_call")
        assert (call["id"], call["name"], call["input"]) == ("call_1", "dive", {"m": 3})
        assert parts_of(found, "tool_result")[0]["output"] == "wet"
        assert {each.model for each in found.messages} == {None, "a:1b", "b:2b"}

    def test_leaves_other_details_in_the_text(self) -> None:
        chats = open_webui()
        text = "<details><summary>a</summary>b</details>"
        chats[0]["chat"]["history"]["messages"]["one"]["content"] = text
        assert text in by_text(read_one(chats))

    def test_reads_one_chat_alone(self) -> None:
        found = read_one(open_webui()[0]["chat"])
        assert found.source == "open-webui:begun:q"
        assert path_of(found) == ["How deep?", "Very deep."]

    def test_uses_children_if_a_parent_is_missing(self) -> None:
        chats = open_webui()
        messages = chats[0]["chat"]["history"]["messages"]
        messages["two"]["childrenIds"] = ["lost"]
        chats[0]["chat"]["history"]["currentId"] = "lost"
        assert path_of(read_one(chats)) == ["How deep?", "Very deep.", "Hello?"]


class TestLibreChat:
    def test_is_the_same_flat_and_nested(self) -> None:
        nested, flat = read_one(librechat()), read_one(librechat(is_nested=False))
        assert nested.messages == flat.messages
        assert path_of(nested) == ["What colour?", "Blocks it is."]
        assert nested.active_path()[-1].cancelled
        assert [part["type"] for part in nested.active_path()[-1].parts] == [
            "thinking",
            "text",
            "tool_call",
            "tool_result",
        ]

    def test_may_be_nested_a_thousand_deep(self) -> None:
        conversation = librechat()
        message = conversation["messages"][0]
        for number in range(1000):
            child = message | {"messageId": f"m{number}", "text": f"{number}", "children": []}
            message["children"] = [child]
            message = child
        # The standard library cannot write it.
        text = json.dumps(librechat() | {"messages": []}).encode()
        inner, pending = b"", conversation["messages"][0]
        chain = []
        while pending:
            chain.append(pending)
            pending = next(iter(pending["children"]), None)
        for each in reversed(chain):
            flat = as_json({name: value for name, value in each.items() if name != "children"})
            inner = flat[:-1] + b', "children": [' + inner + b"]}"
        found = read_one(text.replace(b'"messages": []', b'"messages": [' + inner + b"]"))
        assert len(found.active_path()) == 1001


class TestDeepSeek:
    def test_is_read_from_fragments(self) -> None:
        found = read_one(FILES["deepseek"])
        assert [each.role for each in found.active_path()] == ["user", "assistant", "user"]
        assert parts_of(found, "thinking")[0]["extra"] == {"elapsed_secs": 2.5}
        assert found.created_at == datetime(2026, 3, 10, 10, 1, tzinfo=UTC)
        assert {each.model for each in found.messages if each.role == "user"} == {None}


class TestGrok:
    def test_is_read_in_both_notations(self) -> None:
        first, second = read_all(grok())
        assert path_of(first) == ["How high?", "Very high."]
        assert path_of(second) == ["Hi", "Hello"]
        assert first.messages[0].timestamp == datetime(2023, 11, 14, 22, 13, 20, 1000, tzinfo=UTC)
        assert second.messages[0].timestamp == datetime(2026, 3, 10, 18, 1, tzinfo=UTC)
        assert parts_of(first, "thinking")[0]["text"] == "Storms."

    def test_reports_other_items_as_skipped(self) -> None:
        found = read(as_json(grok()), format=None)
        assert [each.place for each in found.skipped] == ["projects"]


class TestShareGpt:
    def test_separates_conversations_with_equal_content(self) -> None:
        found = read_all(sharegpt())
        assert [len(each.messages) for each in found] == [5, 2, 2]
        assert len({each.source for each in found}) == 3
        assert [each.source for each in read_all(lines(*sharegpt()))] == [
            each.source for each in found
        ]

    def test_reads_tools(self) -> None:
        found = read_all(sharegpt())[0]
        assert [each.role for each in found.messages] == [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
        ]
        [call] = parts_of(found, "tool_call")
        assert (call["name"], call["input"]) == ("measure", {"what": "sea"})


class TestOpenAiMessages:
    def test_are_read_in_lines_in_an_array_or_alone(self) -> None:
        found = read_all(lines(*openai_messages()))
        assert read_all(openai_messages()) == found
        assert path_of(read_one(openai_messages()[0]["messages"])) == path_of(found[0])

    def test_are_read_with_tools_thoughts_and_pictures(self) -> None:
        found = read_all(openai_messages())[0]
        kinds = {part["type"] for message in found.messages for part in message.parts}
        assert kinds == {"text", "file", "tool_call", "tool_result", "thinking"}
        assert found.attachments[0].data == "iVBORw0KGgo="
        assert {each.time_source for each in found.messages} == {"import"}

    def test_are_read_from_training_data_with_value(self) -> None:
        content = [{"type": "text", "value": "hi"}]
        found = read_one([{"messages": [{"role": "user", "content": content}]}])
        assert path_of(found) == ["hi"]


class TestSillyTavern:
    def test_is_read_with_swipes_as_alternatives(self) -> None:
        found = read_one(lines(*silly_tavern()))
        assert path_of(found) == ["Ahoy!", "Who sings?", "I do.", "A storm comes.", "Away!"]
        assert [each.content for each in found.messages if each.parent_id is None] == [
            "Ahoy?",
            "Ahoy!",
        ]
        assert (found.title, found.source_id) == ("Siren", "i-1")

    def test_is_read_with_four_notations_of_time(self) -> None:
        stamps = [each.timestamp for each in read_one(lines(*silly_tavern())).active_path()]
        assert stamps == [
            datetime(2025, 12, 1, 10, tzinfo=UTC),
            datetime(2025, 6, 19, 15, 4, tzinfo=UTC),
            datetime(2023, 1, 24, 12, 29, 31, 558_000, tzinfo=UTC),
            datetime(2023, 1, 22, 18, 55, 4, 22_000, tzinfo=UTC),
            datetime(2023, 1, 22, 18, 55, 4, 22_000, tzinfo=UTC),
        ]

    def test_is_read_with_narrators_thoughts_and_hidden_messages(self) -> None:
        found = by_text(read_one(lines(*silly_tavern())))
        assert found["A storm comes."].role == "system"
        assert found["I do."].parts[0] == {"type": "thinking", "text": "Wet.", "duration_s": 1.5}
        assert found["Away!"].hidden

    def test_is_empty_with_a_header_only(self) -> None:
        found = read(lines(silly_tavern()[0]), format=None)
        assert [each.reason for each in found.skipped] == ["holds no messages"]


class TestAiStudio:
    def test_has_a_branch_if_a_chunk_names_its_parent(self) -> None:
        found = read_one(ai_studio())
        assert path_of(found) == ["Add", "It is", ""]
        assert found.count_branches() == 1
        assert [part["type"] for part in by_text(found)["It is"].parts] == [
            "text",
            "tool_call",
            "tool_result",
        ]
        assert found.metadata["source"]["systemInstruction"] == {"text": "Be exact."}
        assert found.attachments[0].mime == "image/png"


class TestGeminiCli:
    def test_is_read_as_one_object_and_in_lines(self) -> None:
        session = gemini_cli()
        header = {name: value for name, value in session.items() if name != "messages"}
        found = read_one(lines(header, *session["messages"]))
        assert found == read_one(session)
        assert path_of(found) == ["List", "Listing.", "Cancelled."]
        [result] = parts_of(found, "tool_result")
        assert (result["output"], result["is_error"]) == ("no", True)


class TestCodex:
    def test_hides_messages_that_the_program_wrote_as_the_user(self) -> None:
        found = read_one(lines(*codex()))
        assert [each.hidden for each in found.messages] == [True, *[False] * 5]
        assert found.title == "Fix the leak"
        assert {each.model for each in found.messages if each.role == "assistant"} == {"gpt-5.5"}
        assert parts_of(found, "tool_call")[0]["input"] == {"cmd": "ls"}

    def test_skips_events_that_repeat_items(self) -> None:
        found = read(lines(*codex()), format=None)
        assert [each.reason for each in found.skipped] == ["1 agent_message"]


class TestChatbotUi:
    def test_has_models_and_no_times(self) -> None:
        found = read_one(chatbot_ui())
        assert (found.title, found.metadata["default_model"]) == ("Jokes", "gpt-4")
        assert {each.time_source for each in found.messages} == {"import"}

    @pytest.mark.parametrize("version", ["history", "list"])
    def test_is_read_in_its_older_versions(self, version: str) -> None:
        history: list[dict[str, Any]] = [each | {"id": 1} for each in chatbot_ui()["history"]]
        old = history if version == "list" else {"history": history, "folders": []}
        assert path_of(read_one(old)) == ["Joke?", "Knock knock."]
