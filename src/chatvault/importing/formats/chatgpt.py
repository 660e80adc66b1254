"""ChatGPT's export: conversations as maps of nodes, in one file or in several with a manifest."""

import re
from collections.abc import Iterator
from typing import Any, Final

from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft, UnfitError
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import Stream, read_text
from chatvault.importing.files.structure import Structure, first_value
from chatvault.importing.files.values import (
    digest,
    fields,
    items,
    name_of,
    objects,
    parse_time,
    rest,
    text,
)
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.chatgpt_content import AssetNames, read_parts
from chatvault.importing.formats.records import read_records
from chatvault.importing.neutral import NeutralConversation, Role

_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}
_CONVERSATION = {
    "id", "conversation_id", "title", "create_time", "update_time", "mapping", "current_node",
    "default_model_slug", "moderation_results", "safe_urls", "blocked_urls",
}  # fmt: skip
_MESSAGE = {"id", "author", "create_time", "content", "metadata"}
_METADATA = {"model_slug", "attachments", "is_visually_hidden_from_conversation", "parent_id"}
_HIDDEN_TYPES = {"user_editable_context", "model_editable_context"}
_SHARD = re.compile(r"conversations(-\d+)?\.json")


def detect(structure: Structure) -> str | None:
    """Detect the map of nodes with authors, and the manifest."""
    if structure.any(_is_conversation):
        return "conversations"
    listed = fields(structure.first.get("logical_files"))
    if structure.kind == "object" and "conversations.json" in listed:
        return "manifest"
    return None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the conversations of a file, or the missing files of a manifest."""
    if context.variant == "manifest":
        yield from _check_manifest(stream, context)
        return
    assets = AssetNames(context.beside)
    yield from read_records(stream, lambda raw: read_conversation(raw, context, assets))


def read_conversation(raw: Raw, context: Context, assets: AssetNames) -> NeutralConversation:
    """Read one conversation with all its nodes."""
    mapping = raw.get("mapping")
    if not isinstance(mapping, dict):
        raise UnfitError("holds no 'mapping'")
    own_id = name_of(raw.get("conversation_id")) or name_of(raw.get("id"))
    draft = Draft(
        format=FORMAT.name,
        source_id=own_id or f"sha256:{digest(sorted(mapping))}",
        now=context.now,
        title=text(raw.get("title")) or "",
        created_at=parse_time(raw.get("create_time")),
        updated_at=parse_time(raw.get("update_time")),
        default_model=text(raw.get("default_model_slug")),
        source=rest(raw, _CONVERSATION),
    )
    parents = _parents(mapping)
    links: dict[str, str | None] = {}
    for name, node in mapping.items():
        message = fields(fields(node).get("message"))
        if message:
            _add(draft, name, parents.get(name), message, assets)
        else:
            links[name] = parents.get(name)
    return draft.finish(leaf=name_of(raw.get("current_node")), links=links)


def _is_conversation(raw: Raw) -> bool:
    if not isinstance(raw.get("mapping"), dict) or "inserted_at" in raw:
        return False
    messages = [fields(node.get("message")) for node in objects(raw["mapping"])]
    held = [each for each in messages if each]
    if any("fragments" in each for each in held):
        return False
    return any("author" in each or "content" in each for each in held) or (
        not held and not first_value(raw, "mapping").get("inserted_at")
    )


def _parents(mapping: Raw) -> dict[str, str]:
    """Return the parent of each node, from lists of children if the node names none."""
    by_children = {
        child: name
        for name, node in mapping.items()
        for child in items(fields(node).get("children"))
        if isinstance(child, str)
    }
    found: dict[str, str] = {}
    for name, node in mapping.items():
        own = name_of(fields(node).get("parent"))
        if own not in mapping:
            told = fields(fields(fields(node).get("message")).get("metadata")).get("parent_id")
            named = by_children.get(name) or name_of(told)
            own = named if own is None or named in mapping else own
        if own is not None and (own in mapping or fields(node).get("parent")):
            found[name] = own
    return found


def _add(draft: Draft, name: str, parent: str | None, message: Raw, assets: AssetNames) -> None:
    author, metadata = fields(message.get("author")), fields(message.get("metadata"))
    content = fields(message.get("content"))
    stated = text(author.get("role"))
    role = _ROLES.get(stated or "", "system")
    if stated not in _ROLES:
        draft.unknown[f"role {stated or 'without a name'}"[:64]] += 1
    parts = [*read_parts(draft, message, assets)]
    is_empty = not any(part["type"] != "text" or part["text"] for part in parts)
    draft.add(
        id=name,
        parent=parent,
        role=role,
        parts=parts,
        time=parse_time(message.get("create_time")),
        model=text(metadata.get("model_slug")),
        hidden=bool(
            metadata.get("is_visually_hidden_from_conversation") is True
            or message.get("weight") == 0
            or text(content.get("content_type")) in _HIDDEN_TYPES
            or (role == "system" and is_empty)
        ),
        extra=_extra(message, author, metadata, stated),
    )


def _extra(message: Raw, author: Raw, metadata: Raw, role: str | None) -> Raw:
    """Return the fields without a counterpart, except those that are equal in all messages."""
    found = rest(message, _MESSAGE)
    if found.get("recipient") == "all":
        del found["recipient"]
    if found.get("status") == "finished_successfully":
        del found["status"]
    if found.get("weight") == 1:
        del found["weight"]
    if more := rest(metadata, _METADATA):
        found["metadata"] = more
    if about := rest(author, {"role"} if role in _ROLES else set()):
        found["author"] = about
    return found


def _check_manifest(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the files that the manifest names and the archive does not have."""
    cursor = Cursor(read_text(stream))
    manifest: Any = cursor.value()
    listed = fields(fields(fields(manifest).get("logical_files")).get("conversations.json"))
    present = {name.rpartition("/")[2] for name in context.beside}
    for name in items(listed.get("files")):
        if isinstance(name, str) and name.rpartition("/")[2] not in present:
            shown = name if _SHARD.fullmatch(name) else "a file of conversations"
            yield Skipped(place=shown, reason="named by the manifest, and not in the archive")


FORMAT: Final = Format(name="chatgpt", label="ChatGPT", detect=detect, read=read)
