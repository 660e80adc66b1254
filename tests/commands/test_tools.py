"""What a tool is called, what it is given, and what is kept of its answer."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvault.commands.errors import InvalidCommand
from chatvault.commands.tools import (
    MAX_NAME,
    MAX_RESULT,
    STRANGE,
    Tool,
    command_arguments,
    cut,
    describe,
    offered_name,
    read_arguments,
    read_result,
)
from chatvault.external import McpServer, McpTool

TEXT = {"type": "object", "properties": {"command": {"type": "string"}}}
WORDS = {"type": "object", "properties": {"command": {"type": "array"}}}


def remote(name: str = "run", **schema: Any) -> Any:
    return {"name": name, "inputSchema": {"type": "object"} | schema}


def answer(*content: Any, error: bool = False, structured: Any = None) -> Any:
    return SimpleNamespace(content=content, is_error=error, structured_content=structured)


class TestNames:
    def test_contain_the_server(self) -> None:
        assert offered_name("time", "convert_time") == "time__convert_time"

    @given(st.from_regex(r"[a-z0-9-]{1,24}", fullmatch=True), st.text(min_size=1, max_size=200))
    def test_are_accepted_by_models_apis(self, server: str, tool: str) -> None:
        name = offered_name(server, tool)

        assert len(name) <= MAX_NAME
        assert not STRANGE.search(name)

    @given(st.sets(st.text(min_size=1, max_size=100), min_size=2, max_size=20))
    def test_differ_for_different_tools(self, tools: set[str]) -> None:
        assert len({offered_name("lab", tool) for tool in tools}) == len(tools)


class TestDescribe:
    def test_hides_arguments_set_by_the_operator(self) -> None:
        told = McpServer(
            url="http://x/", tools={"run": McpTool(name="go", arguments={"place": "/srv"})}
        )
        properties = {"command": {"type": "string"}, "place": {"type": "string"}}

        tool = describe("lab", told, remote(properties=properties, required=["command", "place"]))

        assert (tool.name, tool.remote_name, tool.fixed) == ("go", "run", {"place": "/srv"})
        assert tool.schema["properties"].keys() == {"command"}
        assert tool.schema["required"] == ["command"]
        assert tool.function()["function"]["name"] == "go"

    def test_keeps_the_order_of_the_server(self) -> None:
        names = [f"argument_{number}" for number in range(20)]
        told = McpServer(url="http://x/", tools={"run": McpTool(arguments={"argument_7": 1})})

        tool = describe("lab", told, remote(properties={key: {} for key in names}, required=[]))

        assert list(tool.schema["properties"]) == [name for name in names if name != "argument_7"]


class TestArguments:
    @pytest.mark.parametrize("text", ["{", "[]", "1", '"x"', "null"])
    def test_of_a_model_must_be_an_object(self, text: str) -> None:
        assert read_arguments(text) is None

    def test_of_a_model_may_be_missing(self) -> None:
        assert read_arguments("") == {}
        assert read_arguments('{"a": 1}') == {"a": 1}

    def test_of_a_command_line_match_the_servers_schema(self) -> None:
        line = "grep 'two words' file"

        as_text = command_arguments(Tool(name="t", server="s", remote_name="r", schema=TEXT), line)
        as_words = command_arguments(
            Tool(name="t", server="s", remote_name="r", schema=WORDS), line
        )

        assert as_text == {"command": line}
        assert as_words == {"command": ["grep", "two words", "file"]}

    def test_require_a_command_line(self) -> None:
        with pytest.raises(InvalidCommand):
            command_arguments(Tool(name="t", server="s", remote_name="r"), "echo 'half")


class TestResults:
    @given(st.text(max_size=100), st.integers(0, 3000))
    def test_are_cut_between_characters(self, text: str, times: int) -> None:
        found = cut(text * times)

        assert len(found.text.encode()) <= MAX_RESULT
        assert found.truncated == (len((text * times).encode("utf-8", "replace")) > MAX_RESULT)

    def test_can_be_stored_with_any_content(self) -> None:
        assert cut("half a pair: \ud83d").text == "half a pair: ?"

    def test_are_text_for_any_content(self) -> None:
        linked = SimpleNamespace(type="resource_link", uri="file:///a")
        written = SimpleNamespace(
            type="resource", resource=SimpleNamespace(text="inside", uri="file:///b")
        )
        binary = SimpleNamespace(type="resource", resource=SimpleNamespace(uri="file:///c"))
        sound = SimpleNamespace(type="audio", mime_type="audio/wav", data="AAAA")

        found = read_result(answer(linked, written, binary, sound))

        assert found.text.splitlines() == [
            "[resource file:///a]", "inside", "[resource file:///c]", "[audio audio/wav, 3 bytes]",
        ]  # fmt: skip

    def test_are_structured_without_content(self) -> None:
        assert read_result(answer(structured={"a": [1]})).text == '{"a":[1]}'
        assert read_result(answer(error=True)).code == "tool_failed"
