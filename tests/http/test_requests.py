from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from bson import ObjectId
from bson.int64 import Int64
from pydantic import BaseModel, ConfigDict, Field

from chatvault.encoding import to_json
from chatvault.errors import InvalidInput, NotFound
from chatvault.fields import Id, Instant
from chatvault.http.requests import (
    etag,
    link_to,
    page_links,
    parse_headers,
    parse_path,
    parse_query,
)


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(10, ge=1)
    since: Instant | None = None


class Path(BaseModel):
    thing_id: Id


class Headers(BaseModel):
    prefer: str = Field("", alias="Prefer", max_length=5)


def get(path: str, **more: Any) -> Any:
    return make_mocked_request("GET", path, **more)


class TestParseQuery:
    def test_returns_defaults(self) -> None:
        assert parse_query(get("/"), Query) == Query(limit=10)

    @pytest.mark.parametrize("query", ["limit=0", "limit=1&limit=2", "more=1", "since=yesterday"])
    def test_names_the_wrong_parameter(self, query: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            parse_query(get(f"/?{query}"), Query)

        assert refused.value.errors[0].loc == ("query", query.partition("=")[0])

    @pytest.mark.parametrize("text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59"])
    def test_refuses_times_that_do_not_exist_in_utc(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_query(get(f"/?since={text}"), Query)


class TestParsePath:
    @pytest.mark.parametrize("text", ["", "nonsense", "0" * 23, "0" * 25, "g" * 24, "0" * 12])
    def test_treats_a_malformed_id_as_an_unknown_one(self, text: str) -> None:
        with pytest.raises(NotFound):
            parse_path(get("/", match_info={"thing_id": text}), Path)

    def test_accepts_an_id_in_any_case(self) -> None:
        text = "6AFFFCEB11b7f7679581abd5"

        found = parse_path(get("/", match_info={"thing_id": text}), Path)

        assert found.thing_id == ObjectId(text)


class TestParseHeaders:
    def test_reads_the_headers_of_the_model(self) -> None:
        assert parse_headers(get("/", headers={"prefer": "x", "Other": "y"}), Headers).prefer == "x"
        assert parse_headers(get("/"), Headers).prefer == ""

    def test_names_the_wrong_header(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            parse_headers(get("/", headers={"Prefer": "too long"}), Headers)

        assert refused.value.errors[0].loc == ("header", "Prefer")


class TestToJson:
    def test_writes_values_of_the_database(self) -> None:
        stored = {
            "_id": ObjectId("6afffceb11b7f7679581abd5"),
            "at": datetime(2024, 1, 15, 10, 30, 0, 123456, UTC),
            "big": Int64(2**53 + 1),
            "nothing": None,
            "model": Path(thing_id=ObjectId("6afffceb11b7f7679581abd5")),
        }

        assert to_json(stored) == (
            b'{"_id":"6afffceb11b7f7679581abd5","at":"2024-01-15T10:30:00.123Z",'
            b'"big":9007199254740993,"nothing":null,'
            b'"model":{"thing_id":"6afffceb11b7f7679581abd5"}}'
        )

    def test_refuses_values_without_a_json_form(self) -> None:
        with pytest.raises(TypeError):
            to_json({"a": object()})


class TestPageLinks:
    @pytest.mark.parametrize(
        ("offset", "total", "names"),
        [
            (0, 5, []),
            (0, 10, []),
            (0, 11, ["next"]),
            (10, 30, ["next", "prev"]),
            (20, 30, ["prev"]),
            (90, 30, ["prev"]),
        ],
    )
    def test_link_to_existing_pages_only(self, offset: int, total: int, names: list[str]) -> None:
        headers = page_links(get("/things?view=x"), limit=10, offset=offset, total=total)

        assert headers["X-Total-Count"] == str(total)
        link = headers.get("Link", "")
        assert [name for name in ("next", "prev") if f'rel="{name}"' in link] == names
        assert ("Link" in headers) == bool(names)

    def test_keep_the_other_parameters_and_escape_them(self) -> None:
        link = link_to(get("/things?tag=a%26b%22%3E&limit=5&offset=1"), offset=6)

        assert link == "/things?tag=a%26b%22%3E&limit=5&offset=6"

    def test_never_link_before_the_first_page(self) -> None:
        headers = page_links(get("/things"), limit=10, offset=3, total=30)

        assert "offset=0" in headers["Link"]


def test_an_etag_is_strong() -> None:
    assert etag(7) == '"7"'
