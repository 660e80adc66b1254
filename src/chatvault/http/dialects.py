"""Dialects: other names of an operation's parameters, fields and answers, understood beside ours.

The operation itself does not know its dialect: parameters and fields are renamed before they
are validated, and its answer is changed before it is sent.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from chatvault.errors import FieldError, InvalidInput
from chatvault.fields import Raw
from chatvault.http.validation import validate

Values = dict[str, Any]


class Names(BaseModel):
    """Query parameters that a dialect adds to an operation; an operation sees only `to_ours`."""

    def to_ours(self) -> Mapping[str, Any]:
        """Return the operation's own parameters that these stand for."""
        return {}


# Changes an answer; it is given the request's parameters of the dialect.
Shows = Callable[[web.Request, Any, web.Response], Awaitable[None]]


async def show_plainly(_request: web.Request, _names: Names, _response: web.Response) -> None:
    """Leave the answer as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The other names that one operation understands.

    Attributes:
        parameters: the query parameters beside the operation's own.
        fields: our names of the body's outermost fields, by the other names.
        show: changes a JSON answer to a request with any of the parameters.
        show_problem: returns further members of a problem, given its own.
        note: a sentence for the operation's description.
    """

    parameters: type[Names] = Names
    fields: Mapping[str, str] = field(default_factory=dict)
    show: Shows = show_plainly
    show_problem: Callable[[Raw], Raw] | None = None
    note: str = ""

    def read(self, request: web.Request) -> Names | None:
        """Return the dialect's parameters of a request; None if there are none.

        Raises:
            InvalidInput: one is wrong.
        """
        if not request.query:
            return None
        given = values_of(request)
        known = {name: given[name] for name in self.parameters.model_fields if name in given}
        return validate(self.parameters, known, "query") if known else None

    def rename(self, body: Any) -> Any:
        """Return a body with our names of its outermost fields; a field given twice stays."""
        if not self.fields or not isinstance(body, dict) or self.fields.keys().isdisjoint(body):
            return body
        return {
            name if self.fields.get(name, name) in body else self.fields.get(name, name): value
            for name, value in body.items()
        }


def values_of(request: web.Request) -> Values:
    """Return the query's parameters: a string, or a list where one is given several times."""
    query = request.query
    values = {name: query.getall(name) for name in dict.fromkeys(query)}
    return {name: given if given[1:] else given[0] for name, given in values.items()}


def to_ours(values: Values, names: Names) -> Values:
    """Return parameters with those of a dialect replaced by what they stand for.

    Raises:
        InvalidInput: a parameter is given under both names.
    """
    ours, others = names.to_ours(), type(names).model_fields
    rest = {name: value for name, value in values.items() if name not in others}
    if twice := sorted(ours.keys() & rest.keys()):
        message = "contradicts another parameter, which stands for it"
        errors = tuple(FieldError(("query", name), message, "given_twice") for name in twice)
        raise InvalidInput(f"{twice[0]}: {message}", errors=errors)
    return rest | dict(ours)
