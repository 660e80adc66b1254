"""Read files: detect the format of each, and return its conversations and what is wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chatvault.importing.conversations import (
    ImportFile,
    ImportRejected,
    Skipped,
)
from chatvault.importing.files.containers import Member, Source, members
from chatvault.importing.files.streams import NotJsonError, Stream
from chatvault.importing.files.structure import HEAD, Structure, look_at
from chatvault.importing.format import Context, Format, Group, Item, Settings
from chatvault.importing.formats import FORMATS, detect
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.survey import Survey

_SHOWN_NAMES: Final = 8


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """A file of an archive in no known format, as most files of archives are."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """The files to read, and the options.

    Attributes:
        sources: the files of one import, such as the parts of one export.
        now: the time of import.
        format: the name of the format; None to detect it.
        salvage: whether to use the readable part of files that are cut off or partly damaged.
        most: the limit of unpacked bytes per file; None for the default.
        group: how records that name no conversation are grouped.
    """

    sources: Sequence[Source]
    now: datetime
    format: str | None = None
    salvage: bool = False
    most: int | None = None
    group: Group | None = None


def read_files(options: ReadOptions) -> ImportFile:
    """Read all files; of several states of a conversation, keep the newest.

    Without `salvage`, one damaged file refuses all of them.

    Raises:
        ImportRejected: A file is of no known format, or it is cut off or damaged and not to be
            salvaged, or nothing in it can be salvaged.
    """
    survey = Survey()
    for source in options.sources:
        _FileReading(options=options, source=source, survey=survey).run()
    chosen = survey.chosen()
    kept = survey.kept
    return ImportFile(
        conversations=() if kept is None else tuple(kept[number] for number in chosen),
        reread=_Reread(options, frozenset(chosen)) if kept is None else None,
        preferences=survey.preferences,
        skipped=tuple(survey.skipped),
        truncated=survey.truncated,
        found=tuple(survey.found[number] for number in chosen),
    )


@dataclass(slots=True, kw_only=True)
class _FileReading:
    """Reads one file, which may be an archive."""

    options: ReadOptions
    source: Source
    survey: Survey
    before: int = 0
    others: list[str] = field(default_factory=list)
    is_known: bool = False
    stop: NotJsonError | None = None

    def run(self) -> None:
        self.before = len(self.survey.found)
        try:
            for item in read_items(self.options, self.source):
                self._take(item)
        except NotJsonError as stop:
            self._settle(stop)
        except ImportRejected as error:
            if error.detail.startswith(f"{self.source.name}: "):
                raise
            raise self._rejected(error.detail) from None
        if self.stop is not None and not self.is_known:
            self._settle(self.stop)
        if self.others:
            self._report_other_files()

    def _take(self, item: Item | Unrecognised | NotJsonError) -> None:
        match item:
            case NeutralConversation():
                self.survey.add(item)
                self.is_known = True
            case Settings():
                self.survey.preferences = item.values
                self.is_known = True
            case NotJsonError() if self.options.salvage:
                # A damaged file in an archive: the files after it may be intact.
                self.stop = item
                self._note(item)
            case NotJsonError():
                self._settle(item)
            case Unrecognised():
                self.others.append(item.name)
            case Skipped():
                if item.is_damage and not self.options.salvage:
                    raise self._rejected(f"{item.place}: {item.reason}")
                self.survey.skipped.append(item)

    def _settle(self, stop: NotJsonError) -> None:
        """Report where reading stopped: as a skipped item with `salvage`, else as an error."""
        survey = self.survey
        whole = len(survey.found) - self.before
        if self.options.salvage and (whole or survey.preferences is not None):
            self._note(stop)
            return
        before = f"the {whole} whole conversation{'s'[: whole != 1]} before"
        if stop.cut:
            rescue = (
                f"--salvage imports {before} the cut"
                if whole
                else "no whole conversation stands before the cut"
            )
            raise self._rejected(f"{stop.reason}: the file seems cut off; {rescue}")
        place = f"{stop.place}: " if stop.place else ""
        rescue = f"; --salvage imports {before} it" if whole else ""
        raise self._rejected(f"{place}{stop.reason}{rescue}")

    def _note(self, stop: NotJsonError) -> None:
        reason = "cut off" if stop.cut else stop.reason
        place = stop.place or "the rest of the file"
        self.survey.skipped.append(Skipped(place=place, reason=reason))
        self.survey.truncated = True

    def _report_other_files(self) -> None:
        """Report the files of an archive without conversations; raise if there are no others."""
        shown = ", ".join(self.others[:_SHOWN_NAMES])
        if more := len(self.others) - _SHOWN_NAMES:
            shown += f" and {more} more" if more > 0 else ""
        if not self.is_known:
            raise self._rejected(f"no file in it holds conversations: {shown}")
        count = len(self.others)
        place = f"{count} other file{'s'[: count != 1]}"
        self.survey.skipped.append(Skipped(place=place, reason=f"no conversations: {shown}"))

    def _rejected(self, reason: str) -> ImportRejected:
        return ImportRejected(f"{self.source.name}: {reason}")


class _Reread:
    """Iterates over the conversations of files that are too large for memory, reading each time.

    Args:
        options: what to read.
        chosen: the numbers of the conversations to yield.
    """

    def __init__(self, options: ReadOptions, chosen: frozenset[int]) -> None:
        self._options = options
        self._chosen = chosen

    def __iter__(self) -> Iterator[NeutralConversation]:
        number = -1
        for source in self._options.sources:
            try:
                for item in read_items(self._options, source):
                    if isinstance(item, NeutralConversation):
                        number += 1
                        if number in self._chosen:
                            yield item
            except NotJsonError:
                continue  # reported at the first reading


def read_items(
    options: ReadOptions, source: Source
) -> Iterator[Item | Unrecognised | NotJsonError]:
    """Yield the items of a file; for a file of an archive in no known format, its name.

    For a damaged file of an archive, yield the error and continue with the next file.

    Raises:
        ImportRejected: The file is of no known format.
        NotJsonError: The file is cut off or damaged.
    """
    most = {} if options.most is None else {"most": options.most}
    for member in members(source, salvage=options.salvage, **most):
        if isinstance(member, Skipped):
            yield member
            continue
        try:
            yield from _read_member(options, source, member)
        except NotJsonError as stop:
            if not member.name:
                raise
            stop.place = f"{member.name}, {stop.place}".removesuffix(", ")
            yield stop


def _read_member(
    options: ReadOptions, source: Source, member: Member
) -> Iterator[Item | Unrecognised]:
    stream = _Rewound(member.stream)
    structure = look_at(stream.head)
    if stream.stop is not None and not (stream.head and detect(structure)):
        raise stream.stop
    if member.name and not stream.head.strip():
        return
    chosen = _choose_format(options, source, member, structure)
    if chosen is None:
        yield Unrecognised(member.name)
        return
    chosen_format, variant = chosen
    context = Context(now=options.now, variant=variant, beside=member.beside, group=options.group)
    for item in chosen_format.read(stream, context):
        # Not for nested archives, which are unpacked only while they are read.
        if isinstance(item, NeutralConversation) and member.name in member.beside:
            for attachment in item.attachments:
                attachment.archive = source.open
        yield item


def _choose_format(
    options: ReadOptions, source: Source, member: Member, structure: Structure
) -> tuple[Format, str] | None:
    """Return the format and its variant; None for a file of an archive in no known format."""
    where = f"{source.name}: {member.name}".removesuffix(": ")
    if options.format is not None:
        if options.format not in FORMATS:
            raise ImportRejected(f"there is no format {options.format!r}; {_formats()}")
        wanted = FORMATS[options.format]
        variant = wanted.detect(structure)
        return None if variant is None and member.name else (wanted, variant or "")
    matches = detect(structure)
    if len(matches) > 1:
        names = " or ".join(each.name for each, _ in matches)
        raise ImportRejected(f"{where}: may be {names}; say which with --format")
    if matches:
        return matches[0]
    if member.name:
        return None
    raise ImportRejected(
        f"{where}: holds no conversations in a known format: it is {structure.describe()}."
        f" {_formats()}"
    )


def _formats() -> str:
    return "Known are " + ", ".join(each.label for each in FORMATS.values()) + "."


class _Rewound:
    """A stream whose beginning was read for detection, and is read again.

    Attributes:
        head: its beginning.
        stop: the error that comes after the beginning, where that is all that can be read.
    """

    def __init__(self, stream: Stream) -> None:
        self.head = b""
        self.stop: NotJsonError | None = None
        try:
            while len(self.head) < HEAD and (block := stream.read(HEAD - len(self.head))):
                self.head += block
        except NotJsonError as stop:
            self.stop = stop
        self._at = 0
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if self._at < len(self.head):
            end = len(self.head) if size < 0 else self._at + size
            block = self.head[self._at : end]
            self._at += len(block)
            return block if size >= 0 else block + self._stream.read()
        if self.stop is not None:
            raise self.stop
        return self._stream.read(size)
