"""Write chatvault's own JSON in lines: a header, a conversation a line, and the counts."""

from chatvault.encoding import to_json
from chatvault.exporting.formats.json_document import JsonWriter, about_raw
from chatvault.exporting.records import About, Counts


class JsonLines(JsonWriter):
    """Writes lines of JSON; a file without its last line, the counts, is cut off."""

    media_type = "application/x-ndjson"
    suffix = ".ndjson"
    around = (b"", b"\n", b"\n")
    between = b","

    def write_head(self, about: About) -> bytes:
        """Return the header."""
        return b'{"chatvault":' + to_json(about_raw(about)) + b"}\n"

    def write_tail(self, counts: Counts) -> bytes:
        """Return the line with the counts."""
        after = self.around[2] if self._has_conversation else b""
        return after + b'{"end":' + to_json(counts.to_raw()) + b"}\n"
