"""Files packed with gzip: read as they are unpacked, bounded, and salvaged where they are cut."""

import gzip
import io
import json
import random
import zipfile

import pytest

from chatvault.importing.conversations import ImportFile, ImportRejected
from chatvault.importing.files import containers
from chatvault.importing.files.containers import source_of_bytes
from chatvault.importing.reading import ReadOptions, read_files
from conftest import HttpClient
from support import imports
from support.exports import exported
from support.factories import begin, message
from support.imports import NOW, bring_in


def read(data: bytes, *, salvage: bool = False) -> ImportFile:
    return imports.read(data, name="my.json.gz", salvage=salvage, now=NOW, format=None)


def bomb() -> bytes:
    return gzip.compress(b'[{"mapping": {}}, "' + b"x" * 8 * 1024**2)


def packed(count: int) -> bytes:
    """Return an export of the old frontend that gzip cannot make much smaller."""
    chance = random.Random(1)  # no secret
    conversations = [exported(number) for number in range(count)]
    for each in conversations:
        each["messages"][0]["content"] = chance.randbytes(3000).hex()
    return gzip.compress(json.dumps(conversations).encode())


class TestGzip:
    def test_is_unpacked(self) -> None:
        assert len(read(packed(3)).conversations) == 3

    def test_in_a_zip_is_unpacked(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("part 1.json.gz", packed(2))
        assert len(read(file.getvalue()).conversations) == 2

    def test_in_several_pieces_is_one_file(self) -> None:
        whole = gzip.decompress(packed(3))
        pieces = [gzip.compress(whole[:1000]), gzip.compress(whole[1000:])]
        assert len(read(b"".join(pieces)).conversations) == 3

    @pytest.mark.parametrize("count", [4, 400])
    def test_refuses_or_salvages_a_cut_file(self, count: int) -> None:
        data = packed(count)
        cut = data[: len(data) * 3 // 4]
        with pytest.raises(ImportRejected, match=r"my\.json\.gz: the gzip ends too early"):
            read(cut)
        found = read(cut, salvage=True)
        assert found.truncated
        assert count // 2 <= len(found.conversations) < count

    @pytest.mark.parametrize("at", [3, 15, 2000, -6])
    def test_refuses_a_damaged_file_in_one_line(self, at: int) -> None:
        data = bytearray(packed(4))
        data[at] ^= 0xFF
        with pytest.raises(ImportRejected) as refused:
            read(bytes(data))
        assert refused.value.detail.startswith("my.json.gz: ")

    def test_refuses_unknown_content(self) -> None:
        with pytest.raises(ImportRejected, match="holds no conversations in a known format"):
            read(gzip.compress(b'{"a": 1}'))


class TestBombs:
    def test_refuses_a_high_ratio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(containers, "_RATIO_FROM", 1024**2)
        with pytest.raises(ImportRejected, match="packed so densely that it seems made to harm"):
            read(bomb())

    def test_refuses_a_high_ratio_of_nested_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(containers, "_RATIO_FROM", 1024**2)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(
                "a.json.gz", gzip.compress(b'[{"mapping": {}}, "' + b"x" * 8 * 1024**2)
            )
        with pytest.raises(ImportRejected, match="packed so densely that it seems made to harm"):
            read(file.getvalue())

    def test_refuses_a_large_size(self) -> None:
        wish = ReadOptions(sources=[source_of_bytes(packed(4), name="x.gz")], now=NOW, most=10_000)
        with pytest.raises(ImportRejected, match=r"x\.gz: unpacks to more than"):
            read_files(wish)


class TestParts:
    async def test_imports_the_parts_of_a_background_export(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        for number in range(3):
            await begin(alice, title=f"T{number}", messages=[message(str(number))])
        path = (await alice.post("/exports", json={"format": "ndjson"})).headers["Location"]
        while not (await (await alice.get(path)).json())["parts"]:
            pass
        data = await (await alice.get(f"{path}/parts/1")).read()

        told = await bring_in(bob, data)
        assert [each["outcome"] for each in told["conversations"]] == ["imported"] * 3
