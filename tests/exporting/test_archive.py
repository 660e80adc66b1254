"""ZIPs that leave as they are written."""

import io
import random
import zipfile
from datetime import UTC, datetime

import pytest

from chatvault.exporting.archive import Archive

AT = datetime(2026, 1, 31, 10, 0, 2, tzinfo=UTC)


class TestArchive:
    def test_is_read_by_other_programs(self) -> None:
        parts = []
        with Archive() as archive:
            archive.add("a/é.txt", b"hello", AT)
            parts.append(archive.take())
            archive.begin("large", AT, is_large=True)
            for _ in range(100):
                archive.write(random.randbytes(1000))
                parts.append(archive.take())
            archive.end()
            archive.add("old", b"", datetime(1969, 1, 1, tzinfo=UTC))
            parts.append(archive.close())

        with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as found:
            assert found.testzip() is None
            assert found.namelist() == ["a/é.txt", "large", "old"]
            assert found.read("a/é.txt") == b"hello"
            assert found.getinfo("a/é.txt").date_time == (2026, 1, 31, 10, 0, 2)
            assert found.getinfo("large").file_size == 100_000
            assert found.getinfo("old").date_time[0] == 1980
        assert max(map(len, parts)) < 70_000

    def test_is_invalid_if_cut_off(self) -> None:
        with Archive() as archive:
            archive.begin("a", AT)
            archive.write(b"hello" * 1000)
            torn = archive.take()
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(io.BytesIO(torn))

    def test_knows_its_files_and_refuses_writes_without_one(self) -> None:
        with Archive() as archive:
            archive.add("a", b"", AT)
            assert archive.has("a")
            assert not archive.has("b")
            with pytest.raises(RuntimeError):
                archive.write(b"x")
