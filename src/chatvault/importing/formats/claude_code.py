"""Claude Code's sessions: a line for each node of a graph, and lines of session metadata."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from chatvault.conversations.parts import Part
from chatvault.fields import Raw
from chatvault.importing.conversations import Skipped
from chatvault.importing.drafts import Draft
from chatvault.importing.files.jsontext import Cursor
from chatvault.importing.files.streams import Stream, read_text
from chatvault.importing.files.structure import Structure
from chatvault.importing.files.values import fields, items, name_of, parse_time, rest, text
from chatvault.importing.format import Context, Format, Item
from chatvault.importing.formats.blocks import read_blocks
from chatvault.importing.formats.records import read_lines, read_record
from chatvault.importing.neutral import NeutralConversation, Role
from chatvault.importing.trees import chain

_NODES: Final = frozenset({"user", "assistant", "attachment", "system"})
_TITLES: Final = {"custom-title": "customTitle", "ai-title": "aiTitle", "summary": "summary"}
# Fields that repeat in all lines; those of the first line become the conversation's.
_SHARED: Final = ("cwd", "gitBranch", "version", "userType")
_LINE: Final = {
    "type", "uuid", "parentUuid", "logicalParentUuid", "sessionId", "timestamp", "message",
    "isMeta", *_SHARED,
}  # fmt: skip
_MESSAGE: Final = frozenset({"role", "content", "model"})


@dataclass(slots=True)
class _Session:
    """The lines of one session."""

    name: str
    lines: list[Raw] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    summaries: list[Raw] = field(default_factory=list)
    leaf: str | None = None
    others: Counter[str] = field(default_factory=Counter)


def detect(structure: Structure) -> str | None:
    """Detect a line with a session, an id and a message at the beginning."""
    if structure.kind in {"lines", "object"} and structure.any(_is_node):
        return "lines"
    held = [fields(each) for each in items(structure.first.get("loglines"))]
    return "web" if any(map(_is_node, held)) else None


def read(stream: Stream, context: Context) -> Iterator[Item]:
    """Yield the sessions of a file, which may hold several."""
    sessions: dict[str, _Session] = {}
    latest: str | None = None
    for _, line in _web_lines(stream) if context.variant == "web" else read_lines(stream):
        if isinstance(line, Skipped):
            yield line
            continue
        # Lines of metadata may lack the session's id.
        latest = name_of(line.get("sessionId")) or latest or ""
        _take(sessions.setdefault(latest, _Session(latest)), line)
    if (nameless := sessions.get("")) and len(sessions) > 1 and not nameless.lines:
        del sessions[""]
        _add_metadata(next(iter(sessions.values())), nameless)
    for session in sessions.values():
        place = "the session"
        if session.others:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(session.others.items()))
            yield Skipped(place="lines that are no messages", reason=kinds)
        if session.lines:
            yield read_record(place, {}, lambda _, each=session: _conversation(each, context))  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def _is_node(line: Raw) -> bool:
    return (
        line.get("type") in ("user", "assistant")
        and "sessionId" in line
        and ("uuid" in line or "parentUuid" in line)
        and isinstance(line.get("message"), dict)
    )


def _web_lines(stream: Stream) -> Iterator[tuple[int, Raw | Skipped]]:
    cursor = Cursor(read_text(stream))
    for key in cursor.members():
        if key != "loglines" or cursor.peek() != "[":
            cursor.value()
            continue
        for number, value in cursor.numbered("line"):
            is_line = isinstance(value, dict)
            yield (
                number,
                value if is_line else Skipped(place=f"line {number}", reason="not an object"),
            )


def _take(session: _Session, line: Raw) -> None:
    kind = line.get("type")
    if isinstance(kind, str) and kind in _NODES:
        session.lines.append(line)
    elif isinstance(kind, str) and kind in _TITLES:
        if title := text(line.get(_TITLES[kind])):
            session.titles[kind] = title
        if kind == "summary":
            session.summaries.append(rest(line, {"type", "sessionId"}))
    elif kind == "last-prompt":
        session.leaf = name_of(line.get("leafUuid")) or session.leaf
    else:
        session.others[_shown(kind)] += 1


def _add_metadata(session: _Session, about: _Session) -> None:
    session.titles = about.titles | session.titles
    session.summaries = about.summaries + session.summaries
    session.leaf = session.leaf or about.leaf
    session.others += about.others


def _conversation(session: _Session, context: Context) -> NeutralConversation:
    first = session.lines[0]
    begun = name_of(first.get("uuid")) or "#0"
    shared: Raw = {name: first[name] for name in _SHARED if name in first}
    draft = Draft(
        format=FORMAT.name,
        # Sidechains and compacted sessions have the id of the session that started them.
        source_id=f"{session.name}:{begun}",
        now=context.now,
        title=next((session.titles[each] for each in _TITLES if each in session.titles), ""),
        source={"session": session.name, **shared},
    )
    if session.summaries:
        draft.source["summaries"] = session.summaries
    known = {name_of(line.get("uuid")) for line in session.lines}
    for line in session.lines:
        parent = name_of(line.get("parentUuid")) or name_of(line.get("logicalParentUuid"))
        _add(draft, line, parent, shared)
    if not any(message.parent_id for message in draft.messages):
        # Some nodes lack a parent.
        chain(draft.messages)
    leaf = session.leaf if session.leaf in known else None
    return draft.finish(leaf=leaf)


def _add(draft: Draft, line: Raw, parent: str | None, shared: Raw) -> None:
    message = fields(line.get("message"))
    parts = [*_parts(draft, line, message)]
    kinds = {part["type"] for part in parts}
    role: Role = "assistant" if line["type"] == "assistant" else "user"
    if line["type"] in ("system", "attachment"):
        role = "system"
    elif role == "user" and "tool_result" in kinds and "text" not in kinds:
        role = "tool"
    extra = rest(line, _LINE)
    extra |= {
        name: line[name] for name in _SHARED if name in line and line[name] != shared.get(name)
    }
    if more := rest(message, _MESSAGE):
        extra["message"] = more
    draft.add(
        id=name_of(line.get("uuid")),
        parent=parent,
        role=role,
        parts=parts,
        time=parse_time(line.get("timestamp")),
        model=text(message.get("model")),
        hidden=line.get("isMeta") is True or line["type"] == "attachment",
        extra=extra,
    )


def _parts(draft: Draft, line: Raw, message: Raw) -> Iterator[Part]:
    if line["type"] == "attachment":
        yield draft.keep_raw("attachment", line.get("attachment"), is_known=True)
    elif "content" in message:
        yield from read_blocks(draft, message["content"])
    elif said := text(line.get("content")):
        yield {"type": "text", "text": said}


def _shown(kind: Any) -> str:
    return kind[:40] if isinstance(kind, str) and kind.isprintable() else "without a type"


FORMAT: Final = Format(name="claude-code", label="Claude Code", detect=detect, read=read)
