"""The built page: its files in memory, each with its ETag and compressed once."""

import asyncio
import gzip
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType

BUILT = Path(__file__).parent / "built"
PAGE = "index.html"
# Written last by a build: the hash of its sources.
SOURCES = "SOURCES"
IMMUTABLE = "_app/immutable/"
CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
PACKED_ALREADY = {".png", ".woff2"}
# A build that was silent for so long was killed; scripts/_ui.py writes something each second.
STALE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page.

    Attributes:
        packed: compressed by gzip; None if that makes it no smaller.
        etag: of the content, without quotes.
        is_immutable: whether its name has a hash of its content.
    """

    body: bytes
    packed: bytes | None
    etag: str
    content_type: str
    is_immutable: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """One build of the page.

    Attributes:
        files: by their paths, without a leading slash.
        policy: the content security policy that the page itself states.
        sources: the hash of its sources.
    """

    files: Mapping[str, File]
    policy: str
    sources: str

    @property
    def page(self) -> File:
        """The one HTML page, which shows what the address names."""
        return self.files[PAGE]


class _Policy(HTMLParser):
    """Finds the policy in a page."""

    found = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and (given.get("http-equiv") or "").lower() == "content-security-policy":
            self.found = given.get("content") or ""


def read_bundle(folder: Path) -> Bundle | None:
    """Read a build; None if there is none, or it is incomplete."""
    try:
        sources = (folder / SOURCES).read_text().strip()
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): _read(folder, path) for path in paths}
    except OSError:
        return None
    del files[SOURCES]
    parser = _Policy()
    parser.feed(files[PAGE].body.decode())
    if not parser.found:
        raise ValueError(f"{folder / PAGE} states no content security policy")
    return Bundle(MappingProxyType(files), parser.found, sources)


def _read(folder: Path, path: Path) -> File:
    body = path.read_bytes()
    packed = None if path.suffix in PACKED_ALREADY else gzip.compress(body, 9, mtime=0)
    return File(
        body=body,
        packed=packed if packed is not None and len(packed) < len(body) else None,
        etag=hashlib.sha256(body).hexdigest()[:24],
        content_type=CONTENT_TYPES.get(path.suffix, "application/octet-stream"),
        is_immutable=path.relative_to(folder).as_posix().startswith(IMMUTABLE),
    )


@dataclass(slots=True)
class BuiltPage:
    """The newest build in a folder, read again when another one replaces it.

    Attributes:
        folder: the build's folder, which may not exist yet.
    """

    folder: Path
    _bundle: Bundle | None = None
    _older: Mapping[str, File] = field(default_factory=dict)
    _mark: tuple[int, int] | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bundle(self) -> Bundle | None:
        """Return the present build."""
        if self._mark != _mark_of(self.folder):
            async with self._reading:
                await self._read_again()
        return self._bundle

    async def _read_again(self) -> None:
        mark = _mark_of(self.folder)
        # While a new build replaces the old one there is none for a moment.
        if mark is None or mark == self._mark:
            return
        read = await asyncio.to_thread(read_bundle, self.folder)
        if read is not None:
            self._older = self._bundle.files if self._bundle is not None else {}
            self._bundle, self._mark = read, mark

    async def find(self, name: str) -> File | None:
        """Return a file of the newest build, or of the one before, which may be open in a tab."""
        found = self._bundle.files.get(name) if self._bundle is not None else None
        if found is not None and found.is_immutable:
            return found
        bundle = await self.bundle()
        return (bundle.files.get(name) if bundle is not None else None) or self._older.get(name)

    def why_not(self) -> tuple[bool, str]:
        """Return whether a build is being made, and if not, why there is none."""
        state = self.folder.with_name(self.folder.name + ".state")
        try:
            is_fresh = time.time() - state.stat().st_mtime < STALE_SECONDS
            kind, _, reason = state.read_text().partition("\n")
        except OSError:
            return False, ""
        if kind == "building":
            return is_fresh, "" if is_fresh else "The build was stopped."
        return False, reason.strip()


def _mark_of(folder: Path) -> tuple[int, int] | None:
    """Return values that change with each build."""
    try:
        found = (folder / SOURCES).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
