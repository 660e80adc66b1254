"""The requests and answers in docs/api.md, validated against /openapi.json."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from chatvault.http.openapi import build_document
from chatvault.http.routing import Operation
from chatvault.operations import ROUTES

API = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
OPERATIONS = list(chain.from_iterable(ROUTES))
# They answer with large documents, which are shown nowhere.
WITHOUT = {"/openapi.json", "/docs"}


@dataclass(frozen=True)
class Exchange:
    """One fenced block: a request and its answer."""

    target: str
    headers: dict[str, str]
    body: str
    status: str
    answer_headers: dict[str, str]
    answer: str


def split(message: str) -> tuple[str, dict[str, str], str]:
    """A request or an answer as its first line, its headers and its body."""
    head, _, body = message.strip().partition("\n\n")
    first, *lines = head.split("\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return first, headers, body.strip()


def exchanges(method: str, path: str) -> Iterator[Exchange]:
    """The exchanges shown in the section of an operation."""
    section = API.partition(f"\n### `{method} {path}`\n")[2]
    section = re.split(r"^#{2,3} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    for block in re.findall(r"^```http\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        request, _, answer = block.partition("\nHTTP/1.1 ")
        line, headers, body = split(request)
        shown, _, target = line.partition(" ")
        assert shown == method
        status, answer_headers, answered = split(answer)
        yield Exchange(target, headers, body, status[:3], answer_headers, answered)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_document(OPERATIONS)


def errors(document: dict[str, Any], schema: dict[str, Any], shown: object) -> list[str]:
    from openapi_schema_validator import OAS31Validator  # noqa: PLC0415  # slow to load

    validator = OAS31Validator({**schema, "components": document["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(shown)]


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.path not in WITHOUT],
    ids=lambda each: f"{each.method} {each.path}",
)
class TestExchanges:
    def test_match_the_description(self, operation: Operation, document: dict[str, Any]) -> None:
        described = document["paths"][operation.path][operation.method.lower()]
        found = list(exchanges(operation.method, operation.path))
        assert found, "docs/api.md shows no request and answer"
        for each in found:
            url = urlsplit(each.target)
            pattern = re.sub(r"\{\w+\}", "[^/]+", re.escape(operation.path).replace("\\", ""))
            assert re.fullmatch(pattern, url.path), url.path
            named = {one["name"].lower() for one in described["parameters"]}
            used = {name.lower() for name, _ in parse_qsl(url.query)} | {
                name.lower() for name in each.headers if name != "Accept"
            }
            assert used <= named
            if each.body:
                [(media, taken)] = described["requestBody"]["content"].items()
                body = json.loads(each.body) if media == "application/json" else each.body
                assert errors(document, taken["schema"], body) == []
            assert each.status in described["responses"]
            answer = described["responses"][each.status]
            assert {"set-cookie", *map(str.lower, answer.get("headers", {}))} >= {
                name.lower() for name in each.answer_headers
            }
            self.check_answer(each, answer.get("content", {}), document)

    def check_answer(
        self, each: Exchange, content: dict[str, Any], document: dict[str, Any]
    ) -> None:
        """Validate the answer against the model of its content type."""
        if not each.answer.startswith(("{", "[")):
            assert bool(each.answer) == bool(content)
            return
        shown = json.loads(each.answer)
        schema = content["application/json"]["schema"]
        assert errors(document, schema, shown) == []
        assert self.unknown(schema, shown, document) == set()

    def unknown(self, schema: dict[str, Any], shown: Any, document: dict[str, Any]) -> set[str]:
        """The fields at the top of an answer that its model does not have."""
        if isinstance(shown, list):
            shown, schema = shown[0], schema.get("items", {})
        names: set[str] = set()
        options = [schema]
        while options:
            option = options.pop()
            if reference := option.get("$ref"):
                option = document["components"]["schemas"][reference.rpartition("/")[2]]
            options += option.get("anyOf", []) + option.get("oneOf", [])
            if option.get("items") and not names:
                options.append(option["items"])
            if option.get("additionalProperties"):
                return set()
            names |= set(option.get("properties", {}))
        return set(shown) - names
