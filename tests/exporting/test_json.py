"""Our own JSON: nothing is lost, the schema describes it, and its end is marked."""

import copy
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from chatvault.encoding import to_json
from chatvault.exporting.formats.json_document import JsonDocument
from chatvault.exporting.formats.json_lines import JsonLines
from chatvault.exporting.records import Completeness
from support.examples import examples
from support.exporting import (
    AT,
    HOSTILE,
    exported_conversation,
    exported_message,
    written,
)

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "schema" / "export-1.json").read_text("utf-8")
)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | HOSTILE,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(HOSTILE, each, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(HOSTILE, FREE, max_size=3)
MESSAGES = st.fixed_dictionaries(
    {"content": HOSTILE, "role": st.sampled_from(["user", "assistant", "system"])},
    optional={
        "id": HOSTILE,
        "model": HOSTILE,
        "metrics": OBJECTS,
        "cancelled": st.booleans(),
        "extra": OBJECTS,
        "model_used": HOSTILE,
        "input_tokens": st.integers(0, 2**40),
        "version": st.integers(1, 9),
        "alternative_to": HOSTILE,
        "reply_id": st.just(ObjectId("65a5158ac8d8e8a8b8c8d8e9")),
    },
)
CONVERSATIONS = st.fixed_dictionaries(
    {"title": HOSTILE},
    optional={
        "tags": st.lists(HOSTILE, max_size=3),
        "metadata": OBJECTS,
        "system_prompt": HOSTILE,
        "summary": HOSTILE,
        "source": HOSTILE,
        "agent_id": st.none() | st.just(ObjectId("65a5158ac8d8e8a8b8c8d8e9")),
        "archived_at": st.none() | st.just(AT),
        "status": st.sampled_from(["active", "archived"]),
    },
)
EXPORTS = st.lists(st.tuples(CONVERSATIONS, st.lists(MESSAGES, max_size=5)), max_size=3)


def validator(schema: Any) -> Any:
    """A validator of JSON Schema 2020-12."""
    jsonschema = importlib.import_module("jsonschema")  # slow to load, and without annotations
    return jsonschema.Draft202012Validator(schema)


def closed(schema: Any) -> Any:
    """The schema with nothing allowed that it does not name."""
    if isinstance(schema, dict):
        schema = {name: closed(value) for name, value in schema.items()}
        if "properties" in schema:
            schema["additionalProperties"] = False
    elif isinstance(schema, list):
        schema = [closed(each) for each in schema]
    return schema


def read_lines(text: bytes) -> Any:
    """Lines of JSON as the one document that they are parts of."""
    head, *conversations, end = map(json.loads, text.decode().rstrip("\n").split("\n"))
    return {**head, "conversations": conversations, **end}


def expected(fields: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What was put in, in the words of JSON."""
    raw = {**fields, "messages": [{"seq": 0, "id": "m0", **each} for each in messages]}
    found: dict[str, Any] = json.loads(to_json(copy.deepcopy(raw)))
    return found


@pytest.mark.parametrize(("kind", "read"), [(JsonDocument, json.loads), (JsonLines, read_lines)])
class TestJsonAndNdjson:
    @settings(max_examples=examples(15, long=60))
    @given(exports=EXPORTS)
    def test_hold_everything_that_was_stored(self, kind: Any, read: Any, exports: Any) -> None:
        text = written(
            kind(),
            *(
                (exported_conversation(**fields), [exported_message(**each) for each in messages])
                for fields, messages in exports
            ),
        )

        found = read(text)
        assert [*validator(closed(SCHEMA)).iter_errors(found)] == []
        for (fields, messages), conversation in zip(exports, found["conversations"], strict=True):
            wanted = expected(fields, messages)
            assert {name: conversation[name] for name in wanted if name != "messages"} == {
                name: value for name, value in wanted.items() if name != "messages"
            }
            for message in conversation["messages"]:
                assert message.pop("timestamp") == "2026-01-31T10:00:00.123Z"
            assert conversation["messages"] == wanted["messages"]
            assert conversation["completeness"] == "whole"
        assert found["end"]["conversations"] == len(exports)
        assert found["end"]["messages"] == sum(len(messages) for _, messages in exports)

    def test_mark_a_conversation_that_changed(self, kind: Any, read: Any) -> None:
        for end in (Completeness.CHANGED, Completeness.CUT):
            one = (exported_conversation(), [exported_message()])
            found = read(written(kind(), one, end=end))
            assert found["conversations"][0]["completeness"] == end.value
            assert found["end"][end.value] == 1

    def test_export_data_of_old_versions(self, kind: Any, read: Any) -> None:
        message = exported_message()._replace(timestamp=None)
        found = read(written(kind(), (exported_conversation(), [message])))
        assert found["conversations"][0]["agent_id"] is None
        assert found["conversations"][0]["metadata"] == {}
        assert found["conversations"][0]["messages"] == [
            {"id": "m0", "seq": 0, "role": "user", "content": "Hello"}
        ]

    def test_are_recognisable_as_incomplete_if_cut_off(self, kind: Any, read: Any) -> None:
        one = (exported_conversation(), [exported_message("x")] * 3)
        text = written(kind(), one, one).rstrip(b"\n")
        for end in range(len(text)):
            try:
                found = read(text[:end])
            except ValueError:
                continue
            assert "end" not in found


class TestSchema:
    def test_is_a_valid_json_schema(self) -> None:
        validator(SCHEMA).check_schema(SCHEMA)
