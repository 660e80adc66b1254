"""The log of an embedded mongod, read from a pipe, without any user's data.

MongoDB logs whole commands when a plan fails or takes too long, and only its Enterprise edition can
redact them. So mongod writes to the keeper, which stores only what it knows to be harmless.
Standard library only, as the keeper is.
"""

import json
import os
import select
import time
from contextlib import suppress
from pathlib import Path

_LOG_BYTES = 8 * 1024 * 1024
_CHUNK = 65536
_ENVELOPE = ("t", "s", "c", "id", "svc", "ctx", "msg")
# These components log mongod's own work: its options, files, connections. Other ones log commands.
_OWN_AFFAIRS = frozenset({"CONTROL", "NETWORK", "STORAGE", "ELECTION", "FTDC", "RECOVERY"})
_STORAGE_ENGINE = "WT"  # the prefix of its many components
# Attributes that are harmless in any component: names of ours or of mongod's.
_NAMES = frozenset({"codeName", "expr", "file", "namespace", "newState", "ns", "oldState"})
# An error's code and name; its further fields hold values.
_ERROR = frozenset({"code", "codeName", "errmsg"})
_WITHHELD = "withheld"


class MongodLog:
    """Reads the logs of successive mongods, and appends the harmless part to a file.

    On a full disk, lines are lost, and nothing else.

    Args:
        path: the file; when it has grown, it replaces the one at `.1`.

    Attributes:
        first_error: the running mongod's first error or fatal line, as one sentence, or None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first_error: str | None = None
        self._pipe = -1
        self._rest = b""
        self._is_cut = False

    def open_pipe(self) -> int:
        """Open the pipe for a new mongod.

        Returns:
            The descriptor that mongod writes to; the caller closes its own.
        """
        self.close()
        self._pipe, end = os.pipe()
        self.first_error, self._rest = None, b""
        return end

    def close(self) -> None:
        """Read the rest of the present mongod's lines, and close the pipe."""
        while self._pipe >= 0 and select.select([self._pipe], [], [], 0)[0]:
            self._take()
        if self._pipe >= 0:
            self._end()

    def wait(self, seconds: float) -> None:
        """Read lines for at most some seconds; return early if there were any."""
        if self._pipe < 0:
            time.sleep(seconds)
        elif select.select([self._pipe], [], [], seconds)[0]:
            self._take()

    def _take(self) -> None:
        chunk = os.read(self._pipe, _CHUNK)
        if not chunk:
            self._end()
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._write(lines)

    def _end(self) -> None:
        os.close(self._pipe)
        self._pipe = -1
        self._write([self._rest])
        self._rest = b""

    def _write(self, lines: list[bytes]) -> None:
        kept = [entry for line in lines if (entry := harmless(line)) is not None]
        for entry in kept:
            if self.first_error is None and entry.get("s") in {"E", "F"}:
                self.first_error = f"{entry['msg']} {json.dumps(entry.get('attr', {}))}"[:500]
        if kept:
            text = "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in kept)
            with suppress(OSError):
                self._append(text.encode())

    def _append(self, data: bytes) -> None:
        with suppress(FileNotFoundError):
            if self.path.stat().st_size > _LOG_BYTES:
                self.path.replace(self.path.with_suffix(".log.1"))
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            data = b"\n" + data if self._is_cut else data
            self._is_cut = True
            self._is_cut = os.write(file, data) < len(data)
        finally:
            os.close(file)


def harmless(line: bytes) -> dict[str, object] | None:
    """Parse a line of mongod's, and drop what may be a user's data.

    Args:
        line: JSON, without its line break.

    Returns:
        The entry, in which `withheld` stands for what was dropped; None if the line is no entry.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("msg"), str):
        return None
    kept = {name: entry[name] for name in _ENVELOPE if name in entry}
    attributes = entry.get("attr")
    if isinstance(attributes, dict):
        kept["attr"] = _harmless_attributes(str(entry.get("c")), attributes)
    return kept


def _harmless_attributes(component: str, attributes: dict[str, object]) -> dict[str, object]:
    if component in _OWN_AFFAIRS or component.startswith(_STORAGE_ENGINE):
        return {name: _without_documents(value) for name, value in attributes.items()}
    kept = {name: value for name, value in attributes.items() if _is_harmless(name, value)}
    error = attributes.get("error")
    if isinstance(error, dict):
        # Its code and the code's name; its message quotes the values in question.
        kept["error"] = {name: value for name, value in error.items() if _is_harmless(name, value)}
    if withheld := [name for name in attributes if name not in kept]:
        kept[_WITHHELD] = withheld
    return kept


def _without_documents(value: object) -> object:
    """Return the value without texts that quote a document, as in duplicate keys and crashes."""
    if isinstance(value, str):
        return _WITHHELD if "{" in value else value
    if isinstance(value, dict):
        is_error = "codeName" in value
        return {
            name: _without_documents(each)
            for name, each in value.items()
            if not is_error or name in _ERROR
        }
    if isinstance(value, list):
        return [_without_documents(each) for each in value]
    return value


def _is_harmless(name: str, value: object) -> bool:
    if isinstance(value, str):
        return name in _NAMES
    return value is None or isinstance(value, bool | int | float)
