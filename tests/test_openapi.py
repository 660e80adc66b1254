import re
from itertools import chain
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from chatvault.app import ROUTES
from conftest import HttpClient


@pytest.fixture
async def document(http: HttpClient) -> dict[str, Any]:
    answer = await http.get("/openapi.json")
    assert answer.status == 200
    found: dict[str, Any] = await answer.json()
    return found


class TestDocument:
    async def test_is_valid(self, document: dict[str, Any]) -> None:
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

    async def test_gives_each_operation_a_name_and_a_sentence(
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

    async def test_says_where_a_session_is_needed(self, document: dict[str, Any]) -> None:
        paths = document["paths"]

        assert paths["/conversations"]["get"]["security"] == [{"session": []}]
        assert paths["/auth/login"]["post"]["security"] == []
        assert "401" in paths["/conversations"]["get"]["responses"]
        assert "401" not in paths["/health"]["get"]["responses"]

    async def test_names_the_code_of_every_refusal(self, document: dict[str, Any]) -> None:
        responses = document["paths"]["/auth/register"]["post"]["responses"]

        assert "already_taken" in responses["400"]["description"]
        assert "invalid_input" in responses["422"]["description"]
        assert "registration_closed" in responses["403"]["description"]
        assert responses["422"]["content"].keys() == {"application/problem+json"}

    async def test_hides_no_needed_parameter(self, document: dict[str, Any]) -> None:
        for path, operations in document["paths"].items():
            wanted = set(re.findall(r"\{(\w+)\}", path))
            for operation in operations.values():
                given = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
                assert given == wanted, path


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
