import base64
import hashlib
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from pydantic import BaseModel

from chatvault.http.openapi import build_document
from chatvault.http.openapi_examples import NONE_YET
from chatvault.http.openapi_schemas import Schemas
from chatvault.operations import ROUTES
from conftest import HttpClient
from support.factories import PASSWORD, begin, message

CREDENTIALS = {"username": "alice", "password": PASSWORD}


@pytest.fixture
async def document(http: HttpClient) -> dict[str, Any]:
    answer = await http.get("/openapi.json")
    assert answer.status == 200
    found: dict[str, Any] = await answer.json()
    return found


def operations_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        yield from operations.values()


def examples_of(found: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """The examples of an operation, each with its schema."""
    contents = [found.get("requestBody", {})]
    contents += [each for status, each in found["responses"].items() if status < "400"]
    described = [each for content in contents for each in content.get("content", {}).values()]
    for each in described + found["parameters"]:
        if "example" in each:
            yield each["schema"], each["example"]


class TestDocument:
    async def test_is_valid(self, document: dict[str, Any]) -> None:
        from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415  # slow to load

        assert document["openapi"].startswith("3.1")
        assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []

    async def test_describes_every_operation(self, document: dict[str, Any]) -> None:
        described = {
            (method.upper(), path)
            for path, operations in document["paths"].items()
            for method in operations
        }
        served = {(each.method, each.path) for each in chain.from_iterable(ROUTES)}
        assert described == served

    async def test_has_a_name_and_a_summary_for_each_operation(
        self, document: dict[str, Any]
    ) -> None:
        found = [
            operation
            for operations in document["paths"].values()
            for operation in operations.values()
        ]
        names = [operation["operationId"] for operation in found]
        assert len(set(names)) == len(names)
        assert all(operation["summary"] for operation in found)

    async def test_states_the_required_credentials(self, document: dict[str, Any]) -> None:
        paths = document["paths"]

        by_key = {"key": ["conversations:read"]}
        assert paths["/conversations"]["get"]["security"] == [{"session": []}, by_key]
        assert paths["/auth/keys"]["post"]["security"] == [{"session": []}]
        assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        refusals = paths["/conversations"]["get"]["responses"]
        assert "insufficient_scope" in refusals["403"]["description"]
        assert "session_required" in paths["/auth/keys"]["post"]["responses"]["403"]["description"]
        assert paths["/auth/login"]["post"]["security"] == []
        assert "401" in paths["/conversations"]["get"]["responses"]
        assert "401" not in paths["/health"]["get"]["responses"]

    async def test_names_the_code_of_every_refusal(self, document: dict[str, Any]) -> None:
        responses = document["paths"]["/auth/register"]["post"]["responses"]

        assert "already_taken" in responses["400"]["description"]
        assert "invalid_input" in responses["422"]["description"]
        assert "registration_closed" in responses["403"]["description"]
        assert responses["422"]["content"].keys() == {"application/problem+json"}

    async def test_has_exactly_the_schemas_that_it_uses(self, document: dict[str, Any]) -> None:
        """Under names that no other has, and that tell nothing of modules."""
        schemas = document["components"]["schemas"]
        text = json.dumps(document)

        used = set(re.findall(r'"#/components/schemas/(.*?)"', text))
        assert used == schemas.keys()
        assert [name for name in schemas if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []
        assert all(schema["title"] == name for name, schema in schemas.items())

    async def test_describes_each_operation_with_an_example(self, document: dict[str, Any]) -> None:
        for found in operations_of(document):
            assert found["description"].partition("\n\n")[0], found["operationId"]
            assert not found["description"].startswith("Audited"), found["operationId"]
            is_socket = "101" in found["responses"]
            assert list(examples_of(found)) or is_socket, found["operationId"]

    async def test_has_examples_that_match_their_schemas(self, document: dict[str, Any]) -> None:
        from openapi_schema_validator import OAS31Validator  # noqa: PLC0415  # slow to load

        components = document["components"]
        for found in operations_of(document):
            for schema, example in examples_of(found):
                validator = OAS31Validator({**schema, "components": components})
                errors = [error.message for error in validator.iter_errors(example)]
                assert errors == [], (found["operationId"], example)
                assert NONE_YET not in json.dumps(example, ensure_ascii=False), found["operationId"]

    def test_has_examples_of_bodies_that_are_accepted(self) -> None:
        operations = list(chain.from_iterable(ROUTES))
        document = build_document(operations)
        for operation in operations:
            if body := operation.models.get("body"):
                described = document["paths"][operation.path][operation.method.lower()]
                content = described["requestBody"]["content"]["application/json"]
                body.model_validate_json(json.dumps(content["example"]))

    async def test_has_no_parameter_that_is_an_object_or_null(
        self, document: dict[str, Any]
    ) -> None:
        parameters = [each for found in operations_of(document) for each in found["parameters"]]

        kinds = {json.dumps(each["schema"].get("type")) for each in parameters}
        # An array is a parameter that may be repeated; null is a reference.
        assert kinds <= {'"string"', '"integer"', '"boolean"', '"array"', "null"}
        for each in parameters:
            assert "null" not in json.dumps(each["schema"]), each
            if each["name"] == "If-Match":
                assert each["schema"] == {"type": "string"}

    async def test_has_no_default_for_fields_of_updates(self, document: dict[str, Any]) -> None:
        """A generated client sends the defaults, and so would change what it does not name."""
        for name in ("ConversationPatch", "ConversationUpdate", "AgentPatch", "MessageEdit"):
            fields = document["components"]["schemas"][name]["properties"]
            assert not any("default" in field for field in fields.values()), name

    async def test_distinguishes_the_stream_of_a_reply_from_its_answer(
        self, document: dict[str, Any]
    ) -> None:
        path = document["paths"]["/conversations/{conversation_id}/replies"]
        contents = {
            status: path["post"]["responses"][status]["content"] for status in ("200", "201")
        }

        assert {status: list(content) for status, content in contents.items()} == {
            "200": ["text/event-stream"],
            "201": ["application/json"],
        }

    async def test_names_the_headers_of_answers(
        self, alice: HttpClient, document: dict[str, Any]
    ) -> None:
        known = {name.lower(): name for name in document["components"]["headers"]}
        begun = await begin(alice, messages=[message("one"), message("two")])
        one, all_of = "/conversations/{conversation_id}", "/conversations"
        wanted = {"name": "Clock"}
        answers = [
            ("/auth/login", await alice.post("/auth/login", json=CREDENTIALS)),
            (all_of, await alice.post(all_of, json={})),
            (all_of, await alice.get(all_of, params={"limit": 1})),
            (one, await alice.get(f"{all_of}/{begun['id']}")),
            (one, await alice.patch(f"{all_of}/{begun['id']}", json={"title": "T"})),
            (
                f"{one}/messages",
                await alice.get(f"{all_of}/{begun['id']}/messages", params={"limit": 1}),
            ),
            (
                f"{one}/messages",
                await alice.post(
                    f"{all_of}/{begun['id']}/messages",
                    json=message("three"),
                    headers={"Prefer": "return=minimal"},
                ),
            ),
            ("/agents", await alice.post("/agents", json=wanted)),
            ("/users/me/audit-logs", await alice.get("/users/me/audit-logs", params={"limit": 1})),
        ]

        for path, answer in answers:
            described = document["paths"][path][answer.method.lower()]["responses"]
            told = set(described[str(answer.status)]["headers"])
            sent = {known[name.lower()] for name in answer.headers if name.lower() in known}
            assert sent <= told, (answer.method, path)
            # Only a conversation that is not shown whole leads to its rest, and nobody has a limit.
            rare = {"Link", "Preference-Applied", "RateLimit", "RateLimit-Policy"}
            assert told - sent <= rare, (answer.method, path)

    async def test_describes_alternative_names_of_fields(self, document: dict[str, Any]) -> None:
        schema = document["components"]["schemas"]["ArchiveIn"]
        assert "`archive`" in schema["properties"]["archived"]["description"]

    async def test_lists_every_parameter_of_a_path(self, document: dict[str, Any]) -> None:
        for path, operations in document["paths"].items():
            wanted = set(re.findall(r"\{(\w+)\}", path))
            for operation in operations.values():
                given = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
                assert given == wanted, path


class TestNames:
    def test_differ_for_different_schemas(self) -> None:
        """Or one of them would stand for both."""

        class Same(BaseModel):
            one: int

        def other() -> type[BaseModel]:
            class Same(BaseModel):
                two: int

            return Same

        with pytest.raises(ValueError, match="two schemas are called Same; give one a title"):
            Schemas([(Same, "validation"), (other(), "validation")])


class TestPage:
    async def test_loads_nothing_from_elsewhere(self, http: HttpClient) -> None:
        answer = await http.get("/docs")

        assert answer.status == 200
        assert answer.content_type == "text/html"
        page = await answer.text()
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page)
        for tag in tags:
            assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", tag), tag
        styles = "".join(re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL))
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", styles)
        assert "/openapi.json" in page

    async def test_needs_no_session(self, http: HttpClient) -> None:
        for path in ("/docs", "/openapi.json"):
            assert (await http.get(path)).status == 200

    async def test_runs_its_own_scripts_and_no_others(self, http: HttpClient) -> None:
        answer = await http.get("/docs")
        page = await answer.text()
        policy = dict(
            part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; ")
        )

        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in str(policy)
        for tag, allowed in (("script", policy["script-src"]), ("style", policy["style-src"])):
            inline = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
            assert inline
            for text in inline:
                digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                assert f"'sha256-{digest}'" in allowed
        assert "http" not in str(policy)
