"""Sealing the fields of a collection's documents that are declared as words, and opening them.

A sealed value is stored as `{"c": bytes}` in the place of the value. It is bound to the owner, to
the document and to the field. Empty values stay as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final, TypeGuard, get_args, get_origin

import bson
from beanie import Document
from bson import CodecOptions, ObjectId

from chatvault.content import Content
from chatvault.errors import Conflict
from chatvault.fields import Raw
from chatvault.vault.damage import Damage, DamageReports
from chatvault.vault.data_keys import DataKeys
from chatvault.vault.envelope import Unreadable

SEALED: Final = "c"
# Values that are stored as they are.
EMPTY: Final[list[Any]] = [None, "", b"", [], {}]
UNREADABLE_TEXT: Final = "[unreadable]"
_AWARE: Final[CodecOptions[Raw]] = CodecOptions(tz_aware=True)
_LITERAL: Final = "$literal"


class ContentUnreadable(Conflict):
    """The stored content does not open: it was changed, or its key is gone."""

    code = "content_unreadable"


class LostText(str):  # noqa: SLOT000  # it has an attribute of its own
    """The text shown for one that does not open; `stored` is written back in its place."""

    stored: Raw


class LostList(list[Any]):
    """The same for a list."""

    stored: Raw


class LostObject(dict[str, Any]):
    """The same for an object."""

    stored: Raw


class SealedFields:
    """The sealed fields of one collection.

    Args:
        document: its class, whose `holds` names the fields with words. A path with a dot names a
            field of each element of a list.
        keys: of the owners.
        damage: receives what does not open.
        seals: whether values are sealed; otherwise they are stored as they are.
    """

    def __init__(
        self,
        document: type[Document],
        keys: DataKeys,
        damage: DamageReports,
        *,
        seals: bool = True,
    ) -> None:
        holds: Content = vars(document)["holds"]
        self.collection: str = vars(document)["Settings"].name
        self.owner = holds.owner or ""
        self.bound_to = holds.bound_to
        self.within: dict[str, tuple[str, ...]] = {}
        for path in holds.words:
            name, _, inner = path.partition(".")
            self.within[name] = (*self.within.get(name, ()), *filter(None, [inner]))
        self._lost = {
            name: _lost_kind(document.model_fields[name].annotation)
            for name, inner in self.within.items()
            if not inner
        }
        self._keys = keys
        self._damage = damage
        self._seals = seals
        self._start = f"d{self.collection}\0".encode()

    @property
    def are_bytes(self) -> bool:
        """Whether the documents have parts of files, which are large."""
        return None in self._lost.values()

    @property
    def identifying(self) -> tuple[str, ...]:
        """The fields that sealed values are bound to."""
        return (self.owner, *self.bound_to)

    def sealed_in(self, which: Mapping[str, Any]) -> list[str]:
        """Return the sealed fields that a filter looks at."""
        found: list[str] = []
        for name, value in which.items():
            if name in {"$or", "$and", "$nor"}:
                found += [each for clause in value for each in self.sealed_in(clause)]
                continue
            field, _, rest = name.partition(".")
            inner = self.within.get(field)
            if inner is not None and (not inner or not rest or rest in inner):
                found.append(name)
        return found

    def changes_any(self, update: Any) -> bool:
        """Whether an update may change sealed fields."""
        stages = update if isinstance(update, list) else [update]
        return any(
            self._named(changes) or operator in {"$replaceWith", "$replaceRoot"}
            for stage in stages
            for operator, changes in stage.items()
        )

    def seal(self, document: Mapping[str, Any], which: Mapping[str, Any] | None = None) -> Raw:
        """Return a document as it is stored.

        Args:
            document: with its words readable.
            which: names the document, as far as that has no such fields itself.
        """
        sealed, place = dict(document), {**(which or {}), **document}
        for name in self.within.keys() & sealed.keys():
            sealed[name] = self._seal_field(place, name, sealed[name])
        return sealed

    def seal_update(self, which: Mapping[str, Any], update: Any) -> Any:
        """Return an update as it is sent to MongoDB.

        Args:
            which: the filter, which names one document by the fields that values are bound to.
            update: operators, of which `$set` and `$setOnInsert` may have sealed fields; or a
                pipeline, in which their values are literals.

        Raises:
            RuntimeError: sealed fields are changed otherwise.
        """
        if isinstance(update, list):
            return [self._seal_stage(which, stage) for stage in update]
        sealed: Raw = {}
        for operator, changes in update.items():
            mine = self._named(changes)
            if mine and operator in {"$set", "$setOnInsert"}:
                self._check_whole(mine)
                place = {**which, **changes}
                own = {name: self._seal_field(place, name, changes[name]) for name in mine}
                sealed[operator] = {**changes, **own}
                continue
            if mine and operator != "$unset":
                raise RuntimeError(f"{self.collection}: {operator} cannot change {mine}")
            sealed[operator] = changes
        return sealed

    def _seal_stage(self, which: Mapping[str, Any], stage: Raw) -> Raw:
        """Return a stage of a pipeline as it is sent to MongoDB."""
        [(operator, changes)] = stage.items()
        mine = self._named(changes)
        if operator not in {"$set", "$unset"}:
            raise RuntimeError(f"{self.collection}: {operator} is no stage of its updates")
        if not mine or operator == "$unset":
            return stage
        self._check_whole(mine)
        own = {
            name: {_LITERAL: self._seal_field(which, name, changes[name][_LITERAL])}
            for name in mine
        }
        return {operator: {**changes, **own}}

    def _named(self, changes: Any) -> list[str]:
        """Return the names of changed fields that are sealed, or are within sealed ones."""
        return [name for name in changes if name.partition(".")[0] in self.within]

    def _check_whole(self, names: list[str]) -> None:
        if parts := [name for name in names if name not in self.within]:
            raise RuntimeError(f"{self.collection}: {parts} must be written as a whole")

    def _seal_field(self, document: Mapping[str, Any], name: str, value: Any) -> Any:
        inner = self.within[name]
        if not inner or not value:
            return self._seal_value(document, name, value)
        sealed: list[Raw] = []
        for index, each in enumerate(value):
            own = {
                part: self._seal_value(document, f"{name}.{index}.{part}", each[part])
                for part in inner
                if part in each
            }
            sealed.append({**each, **own})
        return sealed

    def _seal_value(self, document: Mapping[str, Any], path: str, value: Any) -> Any:
        if isinstance(value, LostText | LostList | LostObject):
            return value.stored
        if not value or not self._seals:
            return value
        place = self._place(document, path)
        return {SEALED: self._keys.seal(document[self.owner], bson.encode({"v": value}), place)}

    def _place(self, document: Mapping[str, Any], path: str) -> bytes:
        if lacking := [name for name in self.identifying if name not in document]:
            raise RuntimeError(f"{self.collection}: nothing says the {lacking} of the document")
        names = (document[name] for name in self.identifying)
        ids: bytes = bson.encode({str(number): each for number, each in enumerate(names)})
        return self._start + path.encode() + b"\0" + ids

    def has_sealed(self, document: Mapping[str, Any]) -> bool:
        """Whether a stored document has something that is sealed."""
        return any(map(is_sealed, self._words(document)))

    def check_opened(self, document: Mapping[str, Any]) -> None:
        """Raise if something in an opened document did not open.

        Raises:
            ContentUnreadable: it did not.
        """
        if any(
            isinstance(each, LostText | LostList | LostObject) for each in self._words(document)
        ):
            raise ContentUnreadable

    def which(self, *, is_sealed: bool) -> Raw:
        """Return the filter of documents with something sealed, or with something readable."""
        clauses: list[Raw] = []
        for name, inner in self.within.items():
            for part in inner:
                found = _value_of(part, is_sealed=is_sealed)
                # Elements have texts only.
                filled: Raw = {} if is_sealed else {part: {"$nin": EMPTY}}
                clauses.append({name: {"$elemMatch": {**found, **filled}}})
            if not inner:
                value = {"$ifNull": ["$" + name, None]}
                # Compares the whole value, where a query would look at the elements of a list.
                filled = {"$expr": {"$not": {"$in": [value, {_LITERAL: EMPTY}]}}}
                found = _value_of(name, is_sealed=is_sealed)
                clauses.append(found if is_sealed else {**found, **filled})
        return {"$or": clauses}

    def _words(self, document: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the values of a document that are declared as words."""
        for name, inner in self.within.items():
            value = document.get(name)
            if not inner:
                yield value
                continue
            yield from (each.get(part) for each in value or () for part in inner)

    def open(self, document: Raw, *, final: bool) -> None:
        """Open a document in place; whoever calls this has fetched its owner's keys.

        Raises:
            ContentUnreadable: bytes of a file do not open.
            UnknownEpoch: the keys must be read again.
        """
        for name, inner in self.within.items():
            value = document.get(name)
            if not inner:
                if is_sealed(value):
                    kind = self._lost[name]
                    document[name] = self._open_value(document, name, value, kind, final=final)
                continue
            for index, each in enumerate(value or ()):
                for part in inner:
                    if is_sealed(sealed := each.get(part)):
                        path = f"{name}.{index}.{part}"
                        each[part] = self._open_value(document, path, sealed, LostText, final=final)

    def _open_value(self, document: Raw, path: str, value: Raw, kind: Any, *, final: bool) -> Any:
        user_id: ObjectId = document[self.owner]
        sealed = value[SEALED]
        try:
            opened = self._keys.opener(user_id, final=final)(sealed, self._place(document, path))
        except Unreadable as error:
            self._damage.add(Damage(user_id, self.collection, document["_id"], sealed))
            if kind is None:
                raise ContentUnreadable from error
            lost = kind(UNREADABLE_TEXT) if kind is LostText else kind()
            lost.stored = value
            return lost
        return bson.decode(opened, _AWARE)["v"]

    def with_identifying(self, projection: Any) -> Any:
        """Return a projection that has what opening needs."""
        if not projection:
            return projection
        names = dict.fromkeys(projection, True) if _is_list(projection) else {**projection}
        is_inclusive = any(each is not False and each != 0 for each in names.values())
        if not is_inclusive or not self._named(names):
            return projection
        return names | dict.fromkeys(self.identifying, True)


def is_sealed(value: Any) -> TypeGuard[Raw]:
    """Return whether a stored value is sealed; JSON has no bytes, so no other value looks so."""
    return type(value) is dict and len(value) == 1 and isinstance(value.get(SEALED), bytes)


def _value_of(name: str, *, is_sealed: bool) -> Raw:
    """Return the filter of a field that is sealed, or that is readable and not empty."""
    if is_sealed:
        return {f"{name}.{SEALED}": {"$type": "binData"}}
    return {name: {"$exists": True}, f"{name}.{SEALED}": {"$not": {"$type": "binData"}}}


def _is_list(projection: Any) -> bool:
    return isinstance(projection, Sequence)


def _lost_kind(annotation: Any) -> Any:
    """Return what stands for a value of a field that does not open; None for parts of files."""
    kinds = [each for each in get_args(annotation) if each is not NoneType]
    origin = get_origin(annotation) or annotation
    by_origin = {str: LostText, list: LostList, dict: LostObject}
    if origin in by_origin:
        return by_origin[origin]
    return _lost_kind(kinds[0]) if kinds else None
