"""What is wrong with a request is told shortly, however much is wrong."""

import copy
from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from chatvault.encoding import to_json
from chatvault.errors import InvalidInput
from chatvault.http.problems import problem_response
from chatvault.http.validation import MAX_ERRORS, validate, validate_in_slices
from chatvault.slices import SliceQueue


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=5)]


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str | None = Field(None, validation_alias=AliasChoices("title", "name"))
    items: Annotated[list[Item], Field(max_length=500)] | None = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    number: int


class TestErrors:
    def test_are_at_most_twenty(self) -> None:
        value = {"name": 1, **{f"n{number}": 1 for number in range(100_000)}}

        with pytest.raises(InvalidInput) as refused:
            validate(Wanted, value, "body")

        error = refused.value
        assert len(error.errors) == MAX_ERRORS
        assert error.more_errors == 100_000 - MAX_ERRORS
        assert error.errors[0].loc == ("body", "n0")
        assert {each.type for each in error.errors} == {"extra_forbidden"}
        assert error.detail == "n0: Extra inputs are not permitted (and 99,999 more)"

    def test_are_all_listed_for_a_few_fields(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            validate(Wanted, {"title": 1, "a": 1, "b": 1}, "body")

        found = [(each.loc[1], each.type) for each in refused.value.errors]
        assert found == [
            ("title", "string_type"),
            ("a", "extra_forbidden"),
            ("b", "extra_forbidden"),
        ]
        assert refused.value.more_errors == 0

    def test_shorten_long_names_of_fields(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            validate(Wanted, {"x" * 100_000: 1}, "body")

        assert refused.value.errors[0].loc == ("body", "x" * 63 + "…")
        assert len(refused.value.detail) < 120

    def test_are_bounded_in_size(self) -> None:
        value = {"x" * 1000 + str(number): 1 for number in range(1000)}

        with pytest.raises(InvalidInput) as refused:
            validate(Wanted, value, "body")
        response = problem_response(refused.value, request_id="-")

        assert isinstance(response.body, bytes)
        assert len(response.body) < 8192
        assert b'"more_errors":980' in response.body

    def test_do_not_include_the_free_names_of_an_open_model(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            validate(Open, {f"n{number}": 1 for number in range(1000)}, "body")

        assert [each.loc for each in refused.value.errors] == [("body", "number")]


class TestInSlices:
    @pytest.mark.parametrize("count", [0, 1, 50, 51, 500])
    async def test_returns_the_same_as_one_call(self, count: int) -> None:
        value = {"title": "x", "items": [{"name": str(number)} for number in range(count)]}

        found = await validate_in_slices(Wanted, copy.deepcopy(value), "body", SliceQueue())

        assert to_json(found) == to_json(Wanted.model_validate(value))

    @pytest.mark.parametrize("items", [None, "x", {"name": "x"}, 7])
    async def test_validates_a_value_that_is_no_list(self, items: object) -> None:
        value = {"items": items}
        if items is None:
            assert (await validate_in_slices(Wanted, value, "body", SliceQueue())).items is None
            return
        with pytest.raises(InvalidInput) as refused:
            await validate_in_slices(Wanted, value, "body", SliceQueue())

        assert refused.value.errors[0].loc[:2] == ("body", "items")

    async def test_stops_after_the_first_errors(self) -> None:
        items = [{"name": "x"}] * 60 + [{}] * 200

        with pytest.raises(InvalidInput) as refused:
            await validate_in_slices(Wanted, {"items": items}, "body", SliceQueue())

        found = [each.loc for each in refused.value.errors]
        assert found == [("body", "items", 60 + number, "name") for number in range(MAX_ERRORS)]

    async def test_refuses_a_list_that_is_too_long(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            await validate_in_slices(Wanted, {"items": [{}] * 501}, "body", SliceQueue())

        assert [each.type for each in refused.value.errors] == ["too_long"]
