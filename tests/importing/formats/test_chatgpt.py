"""ChatGPT's export, with what others stumbled over."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from support.foreign import as_json, chatgpt, node, said
from support.imports import by_text, parts_of, path_of, read, read_all, read_one


def with_content(content: Any, role: str = "assistant", **more: Any) -> Any:
    mapping = {"a": node("a", None, said(role, content, 1_700_000_000, **more))}
    return read_one([chatgpt(mapping=mapping, current_node="a")]).messages[0]


class TestTree:
    def test_is_kept_with_its_branches(self) -> None:
        found = read_one([chatgpt()])
        assert path_of(found) == ["", "Plan a trip 🎉", "", "", "", "Go to the beach."]
        assert {"Plan a walk", "Stay at home."} <= by_text(found).keys()
        assert found.count_branches() == 2
        assert found.source == "chatgpt:c-1"
        assert found.messages[0].hidden

    @pytest.mark.parametrize("children", [[], None, "gone"])
    def test_is_read_without_lists_of_children(self, children: Any) -> None:
        conversation = chatgpt()
        for each in conversation["mapping"].values():
            if children == "gone":
                del each["children"]
            else:
                each["children"] = children
        assert read_one([conversation]) == read_one([chatgpt()])

    def test_is_read_from_children_without_parents(self) -> None:
        conversation = chatgpt()
        mapping = conversation["mapping"]
        for name, each in mapping.items():
            if each["parent"]:
                mapping[each["parent"]]["children"].append(name)
        for each in mapping.values():
            each["parent"] = None
        assert read_one([conversation]) == read_one([chatgpt()])

    @pytest.mark.parametrize("current", ["nowhere", None])
    def test_shows_the_newest_branch_by_default(self, current: str | None) -> None:
        conversation = chatgpt(current_node=current)
        assert path_of(read_one([conversation]))[-1] == "Plan a walk"

    def test_is_skipped_without_a_mapping(self) -> None:
        shell = {"id": "c-0", "title": "Empty", "create_time": 1.0}
        odd = chatgpt(id="odd", conversation_id="odd", mapping=[])
        found = read(as_json([shell, chatgpt(), odd, 5, None]), format=None)
        assert len(found.conversations) == 1
        assert [each.reason for each in found.skipped] == [
            "holds no 'mapping'",
            "holds no 'mapping'",
            "not an object",
            "not an object",
        ]

    def test_stays_in_order_with_missing_or_wrong_times(self) -> None:
        conversation = chatgpt()
        conversation["mapping"]["answer"]["message"]["create_time"] = 1.0
        conversation["mapping"]["ask"]["message"]["create_time"] = None
        found = read_one([conversation])
        assert path_of(found) == path_of(read_one([chatgpt()]))
        assert by_text(found)["Plan a trip 🎉"].time_source == "neighbour"


class TestMessage:
    def test_times_are_cut_to_milliseconds(self) -> None:
        found = by_text(read_one([chatgpt()]))["Plan a trip 🎉"]
        assert found.timestamp == datetime(2023, 11, 14, 22, 13, 21, 250_000, tzinfo=UTC)
        assert found.time_source == "exact"

    def test_has_its_own_model(self) -> None:
        found = read_one([chatgpt()])
        assert found.metadata["default_model"] == "auto"
        assert by_text(found)["Go to the beach."].model == "o3"
        assert by_text(found)["Stay at home."].model is None

    def test_is_read_without_metadata(self) -> None:
        message = said("user", "Hi")
        for name in ("metadata", "weight", "status", "recipient"):
            del message[name]
        mapping = {"a": node("a", None, message)}
        found = read_one([chatgpt(mapping=mapping)]).messages[0]
        assert (found.content, found.extra, found.hidden) == ("Hi", {}, False)

    def test_tools_are_calls_and_results(self) -> None:
        found = read_one([chatgpt()])
        [call] = parts_of(found, "tool_call")
        [result] = parts_of(found, "tool_result")
        assert (call["name"], call["input"]) == ("web", 'search("sea")')
        assert (result["name"], result["output"]) == ("web", "a beach")
        assert [each.role for each in found.messages].count("tool") == 1

    def test_thoughts_and_citations_are_parts(self) -> None:
        found = read_one([chatgpt()])
        thought = {"type": "thinking", "text": "They like the sea.", "summary": ["Seas"]}
        cited = {"type": "citation", "url": "https://sea.example", "title": "Sea", "start": 3}
        assert parts_of(found, "thinking") == [thought]
        assert parts_of(found, "citation") == [cited]
        raw = by_text(found)["Go to the beach."].extra["metadata"]["content_references"]
        assert raw == [{"url": "https://sea.example", "title": "Sea", "start_idx": 3}]

    def test_uploads_are_read_from_the_metadata(self) -> None:
        uploads = [{"id": "file-9", "name": "a.pdf", "mime_type": "application/pdf", "size": 5}]
        found = with_content("Look", "user", attachments=uploads)
        assert found.parts[1] == {
            "type": "file",
            "attachment_id": "file-9",
            "name": "a.pdf",
            "mime": "application/pdf",
            "size": 5,
            "source_ref": "file-9",
        }

    @pytest.mark.parametrize(
        ("content", "shown", "kind"),
        [
            ({"content_type": "reasoning_recap", "content": "6s 생각함"}, "", "thinking"),
            ({"content_type": "thoughts", "parts": ["Hm"]}, "", "thinking"),
            ({"content_type": "code", "language": "py", "text": "1+1"}, "1+1", "text"),
            ({"content_type": "system_error", "name": "E", "text": "Oops"}, "Oops", "text"),
            ({"content_type": "tether_quote", "url": "u", "text": "q"}, "", "citation"),
            ({"content_type": "tether_browsing_display", "result": "r", "assets": 1}, "r", "text"),
            ({"content_type": "computer_output", "screenshot": {}, "state": 1}, "", "file"),
            ({"content_type": "super_widget", "parts": ["w"], "x": 1}, "w", "text"),
            ({"content_type": "multimodal_text", "parts": ["w", {"text": "v"}]}, "w\n\nv", "text"),
        ],
    )
    def test_every_type_of_content_is_kept(self, content: Any, shown: str, kind: str) -> None:
        found = with_content(content)
        assert found.content == shown
        assert found.parts[0]["type"] == kind

    def test_unknown_types_are_counted_by_name(self) -> None:
        mapping = {"a": node("a", None, said("user", {"content_type": "hologram", "z": [1]}))}
        found = read_one([chatgpt(mapping=mapping)])
        assert found.unknown == {"hologram": 1}
        [raw] = parts_of(found, "raw")
        assert raw["value"] == {"content_type": "hologram", "z": [1]}

    def test_transcripts_of_voice_are_the_text(self) -> None:
        pointer = {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://file_1"}
        video = {
            "content_type": "real_time_user_audio_video_asset_pointer",
            "audio_asset_pointer": pointer,
            "frames_asset_pointers": ["sediment://file_2", "sediment://file_3"],
        }
        spoken = {"content_type": "audio_transcription", "text": "Hello", "direction": "in"}
        found = with_content({"content_type": "multimodal_text", "parts": [spoken, pointer, video]})
        assert found.content == "Hello"
        files = [part for part in found.parts if part["type"] == "file"]
        assert [each["attachment_id"] for each in files] == ["file_1", "file_1", "file_2", "file_3"]

    @pytest.mark.parametrize("content_type", ["user_editable_context", "model_editable_context"])
    def test_instructions_to_the_model_are_hidden(self, content_type: str) -> None:
        found = with_content({"content_type": content_type, "user_profile": "I sail"}, "user")
        assert found.hidden
        assert found.content == ""
        assert "I sail" in json.dumps(found.parts)

    def test_unknown_roles_are_kept(self) -> None:
        found = with_content("Hm", "critic")
        assert (found.role, found.extra["author"]) == ("system", {"role": "critic"})


class TestIds:
    def test_of_messages_may_repeat_in_another_conversation(self) -> None:
        found = read_all([chatgpt(), chatgpt(id="c-2", conversation_id=None)])
        assert [each.source for each in found] == ["chatgpt:c-1", "chatgpt:c-2"]
        ids = [[message.source_id for message in each.messages] for each in found]
        assert len({*ids[0]} & {*ids[1]}) == 7  # but for those that are no ids: `ask again`
        assert all(len(each) == len({*each}) for each in ids)

    def test_of_messages_are_derived_if_they_cannot_be_stored(self) -> None:
        first, again = (by_text(read_one([chatgpt()]))["Plan a walk"] for _ in range(2))
        assert first.source_id == again.source_id
        assert len(first.source_id or "") == 36

    def test_of_conversations_that_repeat_mean_the_newest_state(self) -> None:
        file = [chatgpt(update_time=1_700_000_020.0, title="New"), chatgpt(title="Old")]
        found = read(as_json(file), format=None)
        assert [each.title for each in found.conversations] == ["New"]
        assert [each.reason for each in found.skipped] == ["an older state of conversation 1"]

    def test_of_conversations_are_derived_from_the_nodes_if_missing(self) -> None:
        found = [read_one([chatgpt(id=None, conversation_id=None)]) for _ in range(2)]
        assert found[0].source == found[1].source
        assert found[0].source_id.startswith("sha256:")


class TestSecrets:
    def test_are_not_imported(self) -> None:
        hidden = {"api_key": "sk-1", "email": "me@example.org", "nested": [{"accessToken": "t"}]}
        conversation = chatgpt(settings=hidden, owner={"phone_number": "+1"})
        conversation["mapping"]["ask"]["message"]["metadata"] |= {"headers": hidden}
        found = read_one([conversation])
        kept = json.dumps([found.metadata, [each.extra for each in found.messages]])
        for secret in ("sk-1", "me@example.org", '"t"', "+1"):
            assert secret not in kept


def test_values_that_cannot_be_stored_are_converted() -> None:
    conversation = chatgpt(title="half \ud83d")
    mapping = conversation["mapping"]
    mapping["ask"]["message"]["content"]["parts"] = ["a \ud83d b"]
    mapping["ask"]["message"]["metadata"] |= {"big": 2**80, "x" * 300: 1}
    found = read_one([conversation])
    assert found.title == "half �"
    message = by_text(found)["a � b"]
    assert json.loads(message.extra["json"])["metadata"]["big"] == 2**80
    assert (
        "1 message: held values that cannot be stored as they are, which were converted"
        in found.notes
    )


def test_values_that_are_too_large_are_left_out_and_counted() -> None:
    large = chatgpt(id="large", conversation_id="large")
    large["mapping"]["ask"]["message"]["content"]["parts"] = ["x" * (8 * 1024**2 + 1)]
    found = read(as_json([large, chatgpt()]), format=None)
    assert [each.source_id for each in found.conversations] == ["c-1"]
    assert [each.reason for each in found.skipped] == ["is larger than 8 MB"]
