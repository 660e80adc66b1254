"""An index that is open in this process: its files in a directory, and what it has."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import orjson
from bson import ObjectId

from chatvault.access import Access
from chatvault.fields import Raw
from chatvault.search.files import IndexFiles, Unreadable
from chatvault.search.index import META, Reader
from chatvault.search.models import FileDoc
from chatvault.search.states import State, pack, unpack

STATES: Final = "states"
_NAME: Final = re.compile(r"meta\.json|states|[0-9a-f]{32}\.(\d+\.)?[a-z]{1,12}")


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """A version of a user's index, to be searched.

    Attributes:
        index: what is stored of it.
        directory: its files.
        reader: searches it.
        states: which messages it has.
    """

    index: Raw
    directory: Path
    reader: Reader
    states: Mapping[ObjectId, State]

    @classmethod
    async def open(
        cls,
        access: Access,
        files: IndexFiles,
        index: Raw,
        directory: Path,
        before: Self | None = None,
    ) -> Self:
        """Open what is stored of an index.

        Args:
            access: to its owner's data.
            files: reads its files.
            index: what is stored of it.
            directory: an empty one.
            before: another version of it, which has some of the files already.

        Raises:
            Unreadable: its files are not complete, or were changed.
            OSError: there is no room for them.
        """
        known = {each["file"] for each in before.index["files"]} if before else set()
        if not all(_NAME.fullmatch(file["name"]) for file in index["files"]):
            raise Unreadable
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, directory, ignore_errors=True)
            for file in index["files"]:
                target = directory / file["name"]
                if before is not None and file["file"] in known:
                    os.link(before.directory / file["name"], target)
                else:
                    await files.read(access, file, target)
            reader, states = await asyncio.to_thread(_open, directory)
            undo.pop_all()
        return cls(index, directory, reader, states)

    def copy_to(self, directory: Path) -> None:
        """Let another directory have the same files, to be written to."""
        for file in self.index["files"]:
            if file["name"] != STATES:
                os.link(self.directory / file["name"], directory / file["name"])

    def close(self) -> None:
        """Remove the directory; a search under way continues."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _open(directory: Path) -> tuple[Reader, dict[ObjectId, State]]:
    try:
        return Reader(directory), unpack((directory / STATES).read_bytes())
    except (ValueError, FileNotFoundError) as error:
        raise Unreadable from error


async def publish(
    access: Access,
    files: IndexFiles,
    before: OpenIndex | None,
    directory: Path,
    states: Mapping[ObjectId, State],
) -> Raw:
    """Store the index in a directory as the newest version; return what is stored of it.

    Raises:
        Overtaken: another process has changed it.
    """
    path = directory / STATES
    await asyncio.to_thread(lambda: path.write_bytes(pack(states)))
    live = await asyncio.to_thread(_live_files, directory)
    kept: dict[str, FileDoc] = {}
    if before is not None:
        kept = {each["name"]: each for each in before.index["files"]}
    listed = [
        kept[name]
        if name in kept and name not in {META, STATES} and _is_same(before, directory, name)
        else await files.store(access, directory / name)
        for name in live
    ]
    messages = sum(each.next_seq - each.first_seq for each in states.values())
    return await files.publish(access, before.index if before else None, listed, messages)


def _is_same(before: OpenIndex | None, directory: Path, name: str) -> bool:
    return before is not None and (before.directory / name).samefile(directory / name)


def _live_files(directory: Path) -> list[str]:
    """Return the names of the files that the newest commit needs."""
    meta: dict[str, Any] = orjson.loads((directory / META).read_bytes())
    names = [META, STATES]
    segments = {each["segment_id"].replace("-", ""): each for each in meta["segments"]}
    for path in sorted(directory.iterdir()):
        segment, _, rest = path.name.partition(".")
        if segment not in segments:
            continue
        deletes = segments[segment].get("deletes") or {}
        if rest.endswith(".del") and rest != f"{deletes.get('opstamp')}.del":
            continue
        names.append(path.name)
    return names
