"""The blocks of a message in formats for people: text, thoughts, tools, files and sources."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from chatvault.conversations.parts import CitationPart, FilePart, Part, ThinkingPart
from chatvault.encoding import to_json
from chatvault.exporting.records import ExportedMessage
from chatvault.fields import Raw

_WEB: Final = ("https://", "http://")


class Kind(StrEnum):
    """The kinds of blocks.

    `words` is Markdown; `folded` is text that is shown on demand; `tool` is a tool's name with
    folded texts; `file` is a file's name; `source` is a citation.
    """

    WORDS = "words"
    FOLDED = "folded"
    TOOL = "tool"
    FILE = "file"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a message.

    Attributes:
        title: the title of folded text, or the name of the tool, file or source.
        texts: the text, or a tool's input and output, each with its language.
        url: the address of a source on the web.
        attachment_id: of a file.
    """

    kind: Kind
    title: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    url: str | None = None
    attachment_id: str | None = None


def blocks_of(message: ExportedMessage) -> Iterator[Block]:
    """Yield the visible blocks of a message: parts in order, then sources, then commands."""
    parts: list[Part] = message.details.get("parts") or []
    said = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    # A client may store a content that differs from its parts; every reader shows the content.
    is_apart = said != message.content
    if is_apart and message.content:
        yield _words(message.content)
    for part in parts:
        if part["type"] != "citation" and not (is_apart and part["type"] == "text"):
            yield from _of_part(part)
    yield from (_source(part) for part in parts if part["type"] == "citation")
    commands: list[Raw] = message.details.get("commands") or []
    yield from map(_of_command, commands)


def _words(text: str) -> Block:
    return Block(kind=Kind.WORDS, texts=((text, ""),))


def _of_part(part: Part) -> Iterator[Block]:
    match part["type"]:
        case "text":
            yield _words(part["text"])
        case "thinking":
            yield _thought(part)
        case "tool_call":
            texts = ((_pretty(part["input"]), "json"),)
            yield Block(kind=Kind.TOOL, title=part["name"], texts=texts)
        case "tool_result":
            title = "Error" if part.get("is_error") else "Result"
            if name := part.get("name"):
                title = f"{title} of {name}"
            yield Block(kind=Kind.TOOL, title=title, texts=(_answer(part["output"]),))
        case "file":
            yield from _file(part)
        case _:
            # Unknown parts are only in the formats for programs.
            return


def _thought(part: ThinkingPart) -> Block:
    seconds = part.get("duration_s")
    title = "Thoughts" if seconds is None else f"Thoughts of {seconds:g} seconds"
    told = [*part.get("summary", ()), part.get("text", "")]
    return Block(
        kind=Kind.FOLDED, title=title, texts=(("\n\n".join(each for each in told if each), ""),)
    )


def _file(part: FilePart) -> Iterator[Block]:
    told = [part.get("name") or part["attachment_id"]]
    told += [part["mime"]] if "mime" in part else []
    told += [f"{part['size']:,} bytes"] if "size" in part else []
    yield Block(kind=Kind.FILE, title=", ".join(told), attachment_id=part["attachment_id"])
    if text := part.get("transcript"):
        yield _words(text)
    if text := part.get("text"):
        yield Block(kind=Kind.FOLDED, title="Text of the file", texts=((text, ""),))


def _source(part: CitationPart) -> Block:
    url = part.get("url", "")
    title = " ".join((part.get("title") or part.get("quote") or url).split())
    is_web = url.startswith(_WEB) and url.isprintable() and not set(url) & set(' <>"\\')
    return Block(kind=Kind.SOURCE, title=title or "unknown", url=url if is_web else None)


def _of_command(command: Raw) -> Block:
    texts = [(_pretty(command.get("arguments")), "json")]
    if command.get("result"):
        texts.append((str(command["result"]), "text"))
    return Block(kind=Kind.TOOL, title=str(command.get("tool", "")), texts=tuple(texts))


def _answer(output: Any) -> tuple[str, str]:
    if isinstance(output, str):
        return output, "text"
    return json.dumps(output, indent=2, ensure_ascii=False), "json"


def _pretty(arguments: object) -> str:
    """Return arguments with JSON indented; other text unchanged."""
    if not isinstance(arguments, str):
        return to_json(arguments).decode()
    try:
        return json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments
