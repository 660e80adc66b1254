"""ZIPs as people have them, and as nobody should."""

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatvault.importing.conversations import ImportFile, ImportRejected, Skipped
from chatvault.importing.files import containers
from chatvault.importing.files.containers import Member, members, source_of_bytes, source_of_path
from chatvault.importing.reading import ReadOptions, read_files
from support import imports
from support.foreign import FILES, as_json, chatgpt, claude

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def zipped(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def read(data: bytes, *, salvage: bool = False) -> ImportFile:
    return imports.read(data, name="export.zip", salvage=salvage, now=NOW, format=None)


def names(data: bytes) -> list[str]:
    found = members(source_of_bytes(data, name="x.zip"))
    return [each.name for each in found if isinstance(each, Member)]


def shards(count: int) -> dict[str, bytes]:
    """What ChatGPT writes for a large account."""
    files = {
        f"conversations-{number:03}.json": as_json(
            [chatgpt(id=f"c-{number}-{each}", conversation_id=None) for each in range(3)]
        )
        for number in range(count)
    }
    logical = {"conversations.json": {"files": [*files], "sharded": True}}
    return {
        "export_manifest.json": as_json({"version": 1, "logical_files": logical}),
        "conversation_asset_file_names.json": as_json({"file-1.dat": "sea.png"}),
        "user.json": as_json({"id": "u", "email": "me@example.org", "phone_number": "+1"}),
        "chat.html": b"<html><head></head><body>all of it</body></html>",
        "file-1.dat": b"\x89PNG",
        **files,
    }


class TestZip:
    def test_yields_all_files(self) -> None:
        found = read(zipped(shards(12)))
        assert len(found.conversations) == 36
        [others] = found.skipped
        assert others.place == "3 other files"
        assert others.reason == (
            "no conversations: chat.html, conversation_asset_file_names.json, user.json"
        )

    def test_reports_missing_files_of_its_manifest(self) -> None:
        files = shards(3)
        del files["conversations-001.json"]
        found = read(zipped(files))
        assert len(found.conversations) == 6
        missing = Skipped(
            place="conversations-001.json", reason="named by the manifest, and not in the archive"
        )
        assert missing in found.skipped

    def test_may_be_nested_and_have_files_of_macos(self) -> None:
        inner = zipped({"conversations.json": FILES["claude"]})
        outer = {
            "__MACOSX/export/._data.zip": b"\0\5\x16\7",
            "export/.DS_Store": b"\0",
            "export/data-batch-0000.zip": inner,
            "export/data-batch-0001.zip": zipped({"conversations.json": FILES["claude"]}),
        }
        found = read(zipped(outer, method=zipfile.ZIP_STORED))
        assert found.conversations == read(FILES["claude"]).conversations
        assert [each.reason for each in found.skipped] == [
            "identical to conversation 1",
            "identical to conversation 2",
        ]

    def test_keeps_the_newest_state_over_several_files(self) -> None:
        grown = claude(updated_at="2026-03-01T00:00:00Z", name="Grown")
        sources = [
            source_of_bytes(zipped({"conversations.json": as_json([each])}), name=f"{place}.zip")
            for place, each in enumerate((claude(), grown, claude(uuid="c-9")))
        ]
        found = read_files(ReadOptions(sources=sources, now=NOW))
        assert [each.title for each in found.conversations] == ["Grown", "Read this"]
        assert found.skipped == (
            Skipped(place="conversation 1", reason="an older state of conversation 2"),
        )

    def test_is_read_in_zip64_form(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:  # noqa: SIM117  # one is in the other
            with archive.open("conversations.json", "w", force_zip64=True) as member:
                member.write(FILES["chatgpt"])
        assert len(read(file.getvalue()).conversations) == 2

    def test_is_rejected_without_conversations(self) -> None:
        with pytest.raises(ImportRejected, match=r"no file in it holds conversations: user\.json"):
            read(zipped({"user.json": b'{"email": "me@example.org"}'}))

    def test_is_rejected_if_empty(self) -> None:
        assert read(zipped({})) == ImportFile()

    def test_may_hold_two_formats(self) -> None:
        found = read(zipped({"a.json": FILES["chatgpt"], "b.json": FILES["grok"]}))
        assert found.count_formats() == {"chatgpt": 2, "grok": 2}

    def test_skips_names_that_escape_the_archive(self) -> None:
        files = {
            "../../etc/conversations.json": FILES["chatgpt"],
            "/conversations.json": FILES["chatgpt"],
            "C:\\conversations.json": FILES["chatgpt"],
            "good.json": FILES["grok"],
        }
        found = read(zipped(files))
        assert found.count_formats() == {"grok": 2}
        assert [each.reason for each in found.skipped[:3]] == [
            "its name leads out of the archive"
        ] * 3

    def test_finds_the_files_of_attachments(self) -> None:
        pointer = {
            "content_type": "image_asset_pointer",
            "asset_pointer": "sediment://file_00ab",
            "width": 3,
        }
        old = pointer | {"asset_pointer": "file-service://file-Ab1"}
        gone = pointer | {"asset_pointer": "sediment://file_gone"}
        mapping = chatgpt()["mapping"]
        content = {"content_type": "multimodal_text", "parts": ["See", pointer, old, gone]}
        mapping["answer"]["message"]["content"] = content
        files = {
            "conversations.json": as_json([chatgpt(mapping=mapping)]),
            "user-1/file_00ab.dat": b"1",
            "file-Ab1-sea-side.png": b"2",
        }
        [conversation] = read(zipped(files)).conversations
        assert [(each.state, each.member) for each in conversation.attachments] == [
            ("present", "user-1/file_00ab.dat"),
            ("present", "file-Ab1-sea-side.png"),
            ("absent", None),
        ]


class TestDamage:
    def test_of_a_cut_file_is_reported_with_advice(self) -> None:
        whole = zipped(shards(2))
        with pytest.raises(ImportRejected, match=r"the ZIP has no end: .* download it again"):
            read(whole[: len(whole) // 2])

    @pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.99])
    def test_of_a_cut_file_is_salvaged_up_to_the_cut(self, part: float) -> None:
        whole = zipped({f"conversations-{n}.json": as_json(_many(n)) for n in range(4)})
        found = read(whole[: int(len(whole) * part)], salvage=True)
        expected = [chat["id"] for n in range(4) for chat in _many(n)]
        ids = [each.source_id for each in found.conversations]
        assert ids == expected[: len(ids)]
        assert len(ids) >= part * len(expected) - 12

    def test_of_a_streamed_zip_is_salvaged(self) -> None:
        class Unseekable(io.BytesIO):
            def seekable(self) -> bool:
                return False

            def seek(self, *_: int) -> int:
                raise io.UnsupportedOperation

        file = Unseekable()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.json", as_json(_many(0)))
            archive.writestr("b.json", as_json(_many(1)))
        found = read(file.getvalue()[:-130], salvage=True)
        assert len(found.conversations) == 20

    def test_of_one_file_does_not_affect_the_others(self) -> None:
        data = bytearray(zipped({"a.json": as_json(_many(0)), "b.json": as_json(_many(1))}))
        at = data.index(b"a.json") + 400
        data[at : at + 20] = b"\xff" * 20
        with pytest.raises(ImportRejected):
            read(bytes(data))
        found = read(bytes(data), salvage=True)
        assert {chat["id"] for chat in _many(1)} <= {each.source_id for each in found.conversations}
        assert found.truncated

    @pytest.mark.parametrize("at", range(0, 400, 7))
    def test_at_any_position_is_refused_in_one_line(self, at: int) -> None:
        data = bytearray(zipped({"a.json": FILES["chatgpt"]}))
        data[-at - 1] ^= 0x55
        for salvage in (False, True):
            try:
                read(bytes(data), salvage=salvage)
            except ImportRejected as error:
                assert len(error.detail.splitlines()) == 1  # noqa: PT017  # either outcome is right

    def test_includes_encrypted_files(self) -> None:
        data = bytearray(zipped({"a.json": FILES["chatgpt"], "b.json": FILES["grok"]}))
        at = data.index(b"PK\1\2") + 8
        data[at] |= 1
        found = read(bytes(data))
        assert Skipped(place="a.json", reason="is encrypted") in found.skipped


def _many(number: int) -> list[dict[str, object]]:
    return [chatgpt(id=f"c-{number}-{each}", conversation_id=None) for each in range(10)]


class TestBombs:
    def test_are_refused_by_their_ratio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(containers, "_RATIO_FROM", 1024**2)
        bomb = zipped({"a.json": b'[{"mapping": {}}, "' + b"x" * 8 * 1024**2})
        with pytest.raises(ImportRejected, match="packed so densely that it seems made to harm"):
            read(bomb)

    def test_are_refused_by_their_size(self) -> None:
        data = zipped({"a.json": as_json(_many(0))})
        options = ReadOptions(sources=[source_of_bytes(data, name="x.zip")], now=NOW, most=10_000)
        with pytest.raises(ImportRejected, match=r"x\.zip: unpacks to more than"):
            read_files(options)

    def test_are_refused_in_skipped_files_of_a_cut_zip(self) -> None:
        cut = zipped({"picture.bin": bytes(4 * 1024**2), "a.json": FILES["chatgpt"]})[:-60]
        options = ReadOptions(
            sources=[source_of_bytes(cut, name="x.zip")], now=NOW, salvage=True, most=1024**2
        )
        with pytest.raises(ImportRejected, match=r"x\.zip: unpacks to more than"):
            read_files(options)

    def test_are_refused_by_the_number_of_their_files(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(containers, "MAX_ENTRIES", 3)
        with pytest.raises(ImportRejected, match="holds more than 3 files"):
            read(zipped({f"{number}.json": b"" for number in range(4)}))
        monkeypatch.setattr(containers, "MAX_DIRECTORY", 100)
        with pytest.raises(ImportRejected, match="holds more than 3 files"):
            read(zipped({f"{number}.json": b"" for number in range(3)}))

    def test_are_refused_if_nested(self) -> None:
        data = zipped({"a.json": FILES["grok"]})
        for _ in range(5):
            data = zipped({"in.zip": data, "b.json": FILES["grok"]})
        assert read(data).count_formats() == {"grok": 2}


class TestFiles:
    def test_are_sorted_by_their_numbers(self) -> None:
        assert names(zipped({f"c-{n}.json": b"" for n in (10, 9, 100, 1)})) == [
            "c-1.json",
            "c-9.json",
            "c-10.json",
            "c-100.json",
        ]

    def test_on_disk_can_be_read_twice(self, tmp_path: Path) -> None:
        path = tmp_path / "a\nb.json"
        path.write_bytes(FILES["grok"])
        source = source_of_path(path)
        assert source.name == "a�b.json"
        assert source.size == len(FILES["grok"])
        for _ in range(2):
            with source.open() as file:
                assert json.load(file)
