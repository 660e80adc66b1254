"""Audit entries as lines: NDJSON, and CSV that spreadsheets do not run as formulas."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chatvault.audit.models import Entry
from chatvault.encoding import to_json
from chatvault.fields import format_instant
from chatvault.review.schemas import AuditEntryOut, ExportFormat, entry_wire

COLUMNS = tuple(AuditEntryOut.model_fields)
MEDIA_TYPES = {ExportFormat.NDJSON: "application/x-ndjson", ExportFormat.CSV: "text/csv"}
# Spreadsheets run a cell that begins with one of these as a formula (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def head(shape: ExportFormat) -> bytes:
    """Return the bytes before the first entry."""
    return _csv_lines([COLUMNS]) if shape is ExportFormat.CSV else b""


def lines(entries: Iterable[Entry], shape: ExportFormat) -> bytes:
    """Return these entries, one on each line."""
    if shape is ExportFormat.NDJSON:
        return b"".join(to_json(entry_wire(entry)) + b"\n" for entry in entries)
    shown = map(entry_wire, entries)
    return _csv_lines([_cell(entry[name]) for name in COLUMNS] for entry in shown)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, dict):
        return to_json(value).decode()
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _csv_lines(rows: Iterable[Iterable[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
