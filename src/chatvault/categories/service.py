"""Operations on a user's categories."""

from collections.abc import Awaitable, Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.categories.schemas import CategoryCreate, CategoryPatch
from chatvault.conversations.bulk.updates import BulkDeps, update_each
from chatvault.conversations.categories import Categories, CategoryNotFound
from chatvault.conversations.models import Conversation
from chatvault.errors import Conflict, InvalidInput
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.mongodb.database import transaction

T = TypeVar("T")
MAX_CATEGORIES = 500


class CategoryTaken(Conflict):
    """There is a category of this name in the same place already."""

    code = "category_taken"


class CategoryNotEmpty(Conflict):
    """There are categories within this one; remove or move them first."""

    code = "category_not_empty"


async def list_all(actor: Actor, recorder: Recorder) -> list[Raw]:
    """Return the actor's categories by name, each with its number of conversations.

    Each comes before those within it.
    """
    access = Access.of(actor)
    stored = await Categories.list_raw(access)
    counts = await Conversation.count_categories(access) if stored else {}
    details = {"categories": len(stored)}
    await recorder.record(audit.entry(actor, Action.CATEGORY_LIST, details=details))
    return [_counted(each, counts) for each in in_order(stored)]


def in_order(stored: Sequence[Raw]) -> list[Raw]:
    """Return categories by name, each before those within it."""
    by_name = sorted(stored, key=lambda each: (each["name"].casefold(), each["id"]))
    within: dict[ObjectId | None, list[Raw]] = {}
    for each in by_name:
        within.setdefault(each["parent_id"], []).append(each)
    return [each for top in within.get(None, []) for each in (top, *within.get(top["id"], []))]


def _counted(category: Raw, counts: dict[ObjectId, int]) -> Raw:
    return {**category, "conversations": counts.get(category["id"], 0)}


async def create(
    actor: Actor, *, wanted: CategoryCreate, idempotency_key: IdempotencyKey | None = None
) -> Raw:
    """Make a category; a repeat of the request returns the first one.

    Raises:
        CategoryNotFound: there is none to put it in, or this is a repeat and it is gone.
        CategoryTaken: there is one of this name.
        InvalidInput: there are too many, or it would be the third level.
        KeyReused: the key came with another request.
    """
    access, at = Access.of(actor), now()
    category: Raw = {"id": ObjectId(), **wanted.model_dump(), "created_at": at, "updated_at": at}

    async def insert(session: AsyncClientSession) -> Raw:
        stored = await Categories.list_raw(access, session)
        if len(stored) >= MAX_CATEGORIES:
            detail = f"a user may have at most {MAX_CATEGORIES} categories"
            raise InvalidInput.in_field("body", "name", problem=detail, kind="too_many_categories")
        _check_place(stored, category)
        await Categories.store(access, [*stored, category], session)
        await _record(actor, Action.CATEGORY_CREATE, category["id"], session)
        return _counted(category, {})

    known = idempotency_key and _idempotent(access, idempotency_key)
    return await _in_turn(
        actor, lambda session: act_once(actor, Action.CATEGORY_CREATE, known, session, insert)
    )


def _idempotent(access: Access, idempotency_key: IdempotencyKey) -> Idempotent[Raw]:
    async def find(category_id: ObjectId, session: AsyncClientSession) -> Raw:
        return _counted(_pick(await Categories.list_raw(access, session), category_id), {})

    return Idempotent.by_id(
        idempotency_key, "category_id", id_of=itemgetter("id"), find=find, target="category_id"
    )


async def update(actor: Actor, *, category_id: ObjectId, wanted: CategoryPatch) -> Raw:
    """Change the named fields.

    Raises:
        CategoryNotFound: there is no such category, or none to put it in.
        CategoryTaken: there is one of this name.
        InvalidInput: there would be a third level.
    """
    access, fields = Access.of(actor), wanted.fields()

    async def change(session: AsyncClientSession) -> Raw:
        stored = await Categories.list_raw(access, session)
        changed = {**_pick(stored, category_id), **fields, "updated_at": now()}
        rest = [each for each in stored if each["id"] != category_id]
        if changed["parent_id"] is not None and _has_within(rest, category_id):
            raise _too_deep("the category has others within it")
        _check_place(rest, changed)
        await Categories.store(access, [*rest, changed], session)
        await _record(actor, Action.CATEGORY_UPDATE, category_id, session, fields=sorted(fields))
        return changed

    changed = await _in_turn(actor, change)
    return _counted(changed, await Conversation.count_categories(access))


async def find_or_make(actor: Actor, names: Sequence[str]) -> ObjectId | None:
    """Return the category to which these names lead, from the top; make what is missing.

    None for no names, and where there are too many categories already.
    """
    parent_id: ObjectId | None = None
    for name in names:
        stored = await Categories.list_raw(Access.of(actor))
        found = _find_named(stored, parent_id, name)
        if found is None:
            wanted = CategoryCreate(name=name, parent_id=parent_id)
            try:
                found = await create(actor, wanted=wanted)
            except InvalidInput:
                return None
            except CategoryTaken:
                found = _find_named(await Categories.list_raw(Access.of(actor)), parent_id, name)
        if found is None:
            return None
        parent_id = found["id"]
    return parent_id


def _find_named(stored: Sequence[Raw], parent_id: ObjectId | None, name: str) -> Raw | None:
    return next(
        (
            each
            for each in stored
            if each["parent_id"] == parent_id and each["name"].casefold() == name.casefold()
        ),
        None,
    )


async def delete(actor: Actor, deps: BulkDeps, *, category_id: ObjectId) -> None:
    """Remove a category; its conversations are in none then.

    The conversations come first, so that a repeat ends what was interrupted.

    Raises:
        CategoryNotFound: there is no such category.
        CategoryNotEmpty: there are categories within it.
        InvalidInput: its conversations are too many.
        Throttled: too many operations on many conversations in this minute.
        Busy: another one of the actor's took too long.
        OutcomeUnknown: MongoDB went away after some of its conversations were changed.
    """
    await deps.rate.admit(str(actor.owner_id))
    async with deps.turns.operation(actor.owner_id):
        await _delete(actor, deps, category_id)


async def _delete(actor: Actor, deps: BulkDeps, category_id: ObjectId) -> None:
    access = Access.of(actor)
    _check_removable(await Categories.list_raw(access), category_id)
    left = await _leave(actor, deps, category_id)

    async def remove(session: AsyncClientSession) -> None:
        stored = await Categories.list_raw(access, session)
        _check_removable(stored, category_id)
        rest = [each for each in stored if each["id"] != category_id]
        await Categories.store(access, rest, session)
        await _record(actor, Action.CATEGORY_DELETE, category_id, session, conversations=left)

    await _in_turn(actor, remove)
    # Those that were put into it meanwhile.
    await _leave(actor, deps, category_id)


async def _leave(actor: Actor, deps: BulkDeps, category_id: ObjectId) -> int:
    """Take all conversations out of a category; return how many."""
    within = {"$eq": category_id, "$type": "objectId"}
    ids = await Conversation.list_ids(Access.of(actor), category_id=within)
    return await update_each(
        actor,
        deps,
        ids,
        lambda fields: {"category_id": None} if fields.get("category_id") == category_id else {},
    )


async def _in_turn(actor: Actor, change: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
    return await transaction(change, turn=("categories", actor.owner_id))


def _pick(stored: Sequence[Raw], category_id: ObjectId) -> Raw:
    found = next((each for each in stored if each["id"] == category_id), None)
    if found is None:
        raise CategoryNotFound
    return found


def _has_within(stored: Sequence[Raw], category_id: ObjectId) -> bool:
    return any(each["parent_id"] == category_id for each in stored)


def _too_deep(detail: str) -> InvalidInput:
    return InvalidInput.in_field("body", "parent_id", problem=detail, kind="category_too_deep")


def _check_removable(stored: Sequence[Raw], category_id: ObjectId) -> None:
    _pick(stored, category_id)
    if _has_within(stored, category_id):
        raise CategoryNotEmpty


def _check_place(others: Sequence[Raw], category: Raw) -> None:
    """Check that a category may stand where it is to stand.

    Raises:
        CategoryNotFound: there is no such category to put it in.
        CategoryTaken: another one there has its name.
        InvalidInput: it would be on the third level.
    """
    parent_id = category["parent_id"]
    if parent_id is not None and _pick(others, parent_id)["parent_id"] is not None:
        raise _too_deep("categories have two levels")
    if _find_named(others, parent_id, category["name"]) is not None:
        raise CategoryTaken


async def _record(
    actor: Actor, action: Action, category_id: ObjectId, session: AsyncClientSession, **details: Any
) -> None:
    entry = audit.entry(actor, action, category_id, details=details or None)
    await AuditEntry.store([entry], session)
