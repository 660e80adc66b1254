"""Gemini's activities in Takeout's HTML: cells with a prompt, a time and an answer."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Final

from chatvault.fields import to_milliseconds
from chatvault.importing.conversations import Skipped
from chatvault.importing.files.htmltext import to_line, to_markdown
from chatvault.importing.files.streams import NotJsonError, Stream, read_text
from chatvault.importing.formats.gemini_records import (
    PRODUCT,
    Record,
    conversation_of,
    without_prefix,
)

_CELL: Final = '<div class="outer-cell'
HEADER = re.compile(r'class="header-cell[^>]*>\s*<p[^>]*>(.*?)</p>', re.DOTALL)
_CONTENT = re.compile(
    r'<div class="content-cell(?![^>]*text-right)[^>]*body-1[^>]*>(.*?)</div>\s*'
    r'(?=<div class="content-cell|</div>|\Z)',
    re.DOTALL,
)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_LINK = re.compile(r'<a [^>]*href="([^"]*)"')
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "jan januar january", "feb februar february", "mar mär märz march", "apr april",
            "may mai", "jun june juni", "jul july juli", "aug august",
            "sep sept september", "oct okt october oktober", "nov november",
            "dec dez december dezember",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
_ENGLISH = re.compile(
    r"(?P<month>[^\W\d]+)\.? (?P<day>\d{1,2}), (?P<year>\d{4}),? (?:at )?"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?\s?(?P<half>[AP]M)?\s*(?P<zone>\S*)"
)
_OTHERS = re.compile(
    r"(?P<day>\d{1,2})\.?[ ./](?P<month>\d{1,2}|[^\W\d]+)\.?[ ./](?P<year>\d{4}),? (?:um |at )?"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?\s?(?P<half>[AP]M)?\s*(?P<zone>\S*)"
)
_TIME = re.compile(r"\d{4}.*\d{1,2}[:.]\d\d")
_ZONES: Final = {
    "UTC": 0, "GMT": 0, "Z": 0, "WEZ": 0, "BST": 60, "CET": 60, "MEZ": 60, "CEST": 120,
    "MESZ": 120, "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360,
    "PST": -480, "PDT": -420, "JST": 540, "KST": 540,
}  # fmt: skip
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?")


def read_html(stream: Stream) -> Iterator[Record | Skipped]:
    """Yield the records of a page.

    Raises:
        NotJsonError: The page is cut off.
    """
    for number, cell in enumerate(_cells(stream), 1):
        place = f"record {number}"
        header = HEADER.search(cell)
        content = _CONTENT.search(cell)
        if header is None or content is None or not PRODUCT.search(to_line(header[1])):
            yield Skipped(place=place, reason="of another product")
            continue
        lines = _BREAK.split(content[1])
        at = next((n for n, line in enumerate(lines) if _is_time(line)), None)
        if at is None:
            yield Skipped(place=place, reason="holds no time")
            continue
        prompt, is_prompt = without_prefix(to_markdown(lines[0]).replace("\xa0", " "))
        answer = to_markdown("<br>".join(lines[at + 1 :]))
        if not answer and not is_prompt:
            yield Skipped(place=place, reason="holds no prompt")
            continue
        time = _read_time(to_line(lines[at]))
        between = [to_line(line) for line in lines[1:at] if to_line(line)]
        links = _LINK.findall(content[1])
        yield Record(
            prompt=prompt,
            answer=answer,
            time=time,
            url=next((each for each in links if conversation_of(each)), None),
            source={
                **({} if time else {"time": to_line(lines[at])}),
                **({"lines": between} if between else {}),
            },
        )


def _cells(stream: Stream) -> Iterator[str]:
    """Yield the cells of the page in bounded memory."""
    pending = ""
    for block in read_text(stream):
        pending += block
        while (end := pending.find(_CELL, 1)) > 0:
            if pending.startswith(_CELL):
                yield pending[:end]
            pending = pending[end:]
    if not pending.rstrip().endswith("</html>") and "</body>" not in pending:
        raise NotJsonError("the page has no end", cut=True)
    if pending.startswith(_CELL):
        yield pending


def _is_time(line: str) -> bool:
    return len(line) < 80 and _TIME.search(line) is not None  # noqa: PLR2004  # the longest line that holds a time


def _read_time(line: str) -> datetime | None:
    """Read a time in the page's notation; None in an unknown language."""
    line = line.replace("\u202f", " ").replace("\xa0", " ")
    match = _ENGLISH.search(line) or _OTHERS.search(line)
    if match is None:
        return None
    month = match["month"].lower()
    hour = int(match["hour"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"] == "PM" else 0)
    try:
        time = datetime(
            int(match["year"]),
            int(month) if month.isdecimal() else _MONTHS[month],
            int(match["day"]),
            hour,
            int(match["minute"]),
            int(match["second"] or 0),
            tzinfo=_zone(match["zone"]),
        )
    except (ValueError, KeyError):
        return None
    return to_milliseconds(time)


def _zone(name: str) -> timezone:
    if match := _OFFSET.fullmatch(name):
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))
    return timezone(timedelta(minutes=_ZONES.get(name, 0)))
