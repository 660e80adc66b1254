"""Validating input: with few and short errors, and long lists in slices."""

import functools
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from chatvault.errors import FieldError, InvalidInput
from chatvault.slices import SliceQueue

M = TypeVar("M", bound=BaseModel)

MAX_ERRORS: Final = 20
MAX_NAME: Final = 64  # characters of a field's name in an error
MAX_MESSAGE: Final = 200
# A list with fewer models is validated at once.
_FEW: Final = 50
_ELLIPSIS: Final = "…"


def validate(model: type[M], value: object, where: str) -> M:
    """Validate a value as the model.

    Args:
        model: a request's part.
        value: the input.
        where: path, query, header or body.

    Raises:
        InvalidInput: a field is missing, unknown or wrong.
    """
    _check_names(model, value, where)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_input(error, where) from None


async def validate_in_slices(model: type[M], value: object, where: str, queue: SliceQueue) -> M:
    """Validate a value that may be large: a list of models is validated turn by turn.

    The list is emptied meanwhile, so that its elements are not held twice.

    Raises:
        InvalidInput: a field is missing, unknown or wrong.
    """
    _check_names(model, value, where)
    found = _list_of_models(model)
    items = value.get(found[0]) if found and isinstance(value, dict) else None
    if found and isinstance(items, list) and _FEW < len(items) <= found[2]:
        name, item_model, _ = found
        checked = await _validate_items(item_model, items, (where, name), queue)
        value = {**value, name: checked} if isinstance(value, dict) else value
    async with queue.take():
        return validate(model, value, where)


async def _validate_items(
    model: type[BaseModel], items: list[Any], place: tuple[str, ...], queue: SliceQueue
) -> list[BaseModel]:
    """Validate the items as models; report only the first few that are wrong."""
    errors: list[FieldError] = []

    def check(index: int) -> BaseModel | None:
        item, items[index] = items[index], None
        if len(errors) >= MAX_ERRORS:
            return None
        try:
            return model.model_validate(item)
        except ValidationError as error:
            errors.extend(_fields_of(error, (*place, index)))
            return None

    checked = await queue.map(check, range(len(items)))
    if errors:
        raise _refusal(errors[:MAX_ERRORS], len(errors) - MAX_ERRORS)
    return [each for each in checked if each is not None]


def is_bulk(model: type[BaseModel]) -> bool:
    """Whether a field of the model is a list of other models."""
    return _list_of_models(model) is not None


@functools.cache
def _list_of_models(model: type[BaseModel]) -> tuple[str, type[BaseModel], int] | None:
    """Return the model's field that is a list of models, their type, and its limit; or None."""
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            plain, *more = get_args(kind) if get_origin(kind) is Annotated else [kind]
            item = get_args(plain)[0] if get_origin(plain) is list else None
            if isinstance(item, type) and issubclass(item, BaseModel):
                return name, item, _max_length([*field.metadata, *more])
    return None


def _max_length(metadata: Iterable[Any]) -> int:
    for each in metadata:
        for part in each.metadata if isinstance(each, FieldInfo) else [each]:
            if isinstance(found := getattr(part, "max_length", None), int):
                return found
    return sys.maxsize


def _check_names(model: type[BaseModel], value: object, where: str) -> None:
    """Refuse many unknown names before there is an error for each of them.

    Raises:
        InvalidInput: there are too many.
    """
    if not isinstance(value, dict) or model.model_config.get("extra") != "forbid":
        return
    if len(value) <= len(model.model_fields) + MAX_ERRORS:
        return
    known = _names_of(model)
    unknown = islice((name for name in value if name not in known), MAX_ERRORS)
    message = "Extra inputs are not permitted"
    errors = [FieldError(_place((where, name)), message, "extra_forbidden") for name in unknown]
    raise _refusal(errors, len(value) - len(known & value.keys()) - len(errors))


@functools.cache
def _names_of(model: type[BaseModel]) -> frozenset[str]:
    """Return all names by which the model's fields can be given."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        alias = field.validation_alias or field.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        names |= {choice for choice in choices if isinstance(choice, str)}
    return frozenset(names)


def invalid_input(error: ValidationError, where: str) -> InvalidInput:
    """Return pydantic's errors as InvalidInput, without any of the input itself.

    Args:
        error: pydantic's.
        where: path, query, header or body.
    """
    errors = _fields_of(error, (where,))
    return _refusal(errors[:MAX_ERRORS], len(errors) - MAX_ERRORS)


def _fields_of(error: ValidationError, place: tuple[str | int, ...]) -> list[FieldError]:
    return [
        FieldError(_place((*place, *found["loc"])), _cut(found["msg"], MAX_MESSAGE), found["type"])
        for found in error.errors(include_input=False, include_url=False, include_context=False)
    ]


def _refusal(errors: list[FieldError], more: int) -> InvalidInput:
    first = errors[0]
    place = ".".join(str(part) for part in first.loc[1:]) or str(first.loc[0])
    others = len(errors) - 1 + max(0, more)
    shown = f" (and {others:,} more)" if others else ""
    return InvalidInput(
        f"{place}: {first.msg}{shown}", errors=tuple(errors), more_errors=max(0, more)
    )


def _place(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return tuple(_cut(part, MAX_NAME) if isinstance(part, str) else part for part in loc)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + _ELLIPSIS
