"""The schemas of an OpenAPI description: one for each model, under a name that clients can use."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

PREFIX = "#/components/schemas/"
Schema = dict[str, Any]
# The keys of a schema with further schemas: one, several, or several by name.
ONE = ("items", "additionalProperties", "not")
SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
BY_NAME = ("properties", "$defs")


class Schemas:
    """The schemas of models.

    Args:
        models: each with its mode: `validation` for requests, `serialization` for responses.

    Raises:
        ValueError: two models have one name; a title tells them apart.
    """

    def __init__(self, models: Iterable[tuple[Any, JsonSchemaMode]]) -> None:
        adapters: dict[tuple[str, JsonSchemaMode], TypeAdapter[Any]] = {}
        for model, mode in models:
            # Not every model is hashable, and models of one name have different paths.
            adapters.setdefault((repr(model), mode), TypeAdapter(model))
        inputs = [(key, mode, adapter) for (key, mode), adapter in adapters.items()]
        found, definitions = TypeAdapter.json_schemas(inputs, ref_template=PREFIX + "{model}")
        # pydantic keeps the definitions of types whose schema was replaced.
        known = _used_by([*found.values()], definitions.get("$defs", {}))
        names = {key: str(schema.get("title", key)) for key, schema in known.items()}
        self._found = {key: _tidy(schema, names) for key, schema in found.items()}
        self.all: dict[str, Schema] = {}
        for key, schema in known.items():
            tidy = _tidy(schema, names)
            # A model that looks the same in both modes is one schema.
            if self.all.setdefault(names[key], tidy) != tidy:
                raise ValueError(f"two schemas are called {names[key]}; give one a title")

    def of(self, model: Any, mode: JsonSchemaMode) -> Schema:
        """Return a model's schema, most often a reference."""
        return self._found[repr(model), mode]

    def resolve(self, schema: Schema) -> Schema:
        """Return the schema that a reference names; any other schema unchanged."""
        reference = schema.get("$ref")
        return self.all[reference.removeprefix(PREFIX)] if reference else schema

    def used_by(self, described: Any) -> dict[str, Schema]:
        """Return the schemas that a description refers to, directly or not, by name."""
        return _used_by(described, self.all)

    def drop_defaults(self, described: Any) -> None:
        """Remove the defaults from the schemas that a description refers to.

        Where a left-out field keeps its value, a client that sends the default would change it.
        """
        for schema in self.used_by(described).values():
            for field in schema.get("properties", {}).values():
                field.pop("default", None)


def _used_by(described: Any, known: dict[str, Schema]) -> dict[str, Schema]:
    used: set[str] = set()
    pending = [described]
    while pending:
        for name in set(_references(pending.pop())) - used:
            used.add(name)
            pending.append(known[name])
    return {name: known[name] for name in sorted(used)}


def _tidy(schema: Schema, names: dict[str, str], *, is_part: bool = False) -> Schema:
    """Copy a schema with our names, without the titles of fields and defaults of null."""
    tidy = dict(schema)
    if is_part:
        # The title of a field's name, which generators would take for the name of a type.
        tidy.pop("title", None)
    if tidy.get("default", 0) in (None, "", [], {}):
        # Null stands for an absent value, and would often be refused as a value.
        del tidy["default"]
    if "$ref" in tidy:
        tidy["$ref"] = PREFIX + names[tidy["$ref"].removeprefix(PREFIX)]
    for key in ONE:
        if isinstance(tidy.get(key), dict):
            tidy[key] = _tidy(tidy[key], names, is_part=True)
    for key in SEVERAL:
        if key in tidy:
            tidy[key] = [_tidy(each, names, is_part=True) for each in tidy[key]]
    for key in BY_NAME:
        if key in tidy:
            parts = tidy[key].items()
            tidy[key] = {name: _tidy(each, names, is_part=True) for name, each in parts}
    return tidy


def without_null(schema: Schema) -> Schema:
    """Return the schema of a parameter, which can be absent but not null."""
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest, **kinds[0]} if len(kinds) == 1 else schema


def _references(described: Any) -> Iterator[str]:
    if isinstance(described, dict):
        reference = described.get("$ref")
        if isinstance(reference, str) and reference.startswith(PREFIX):
            yield reference.removeprefix(PREFIX)
        for part in described.values():
            yield from _references(part)
    elif isinstance(described, list):
        for part in described:
            yield from _references(part)
