"""The secret key, and that it and the data directory are for their owner only."""

import grp
import pwd
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from chatvault import keys
from chatvault.audit.keys import load_key_ring
from chatvault.keys import (
    FILE_NAME,
    NotPrivate,
    SecretKey,
    load_secret_key,
    open_data_dir,
    refuse_open,
)
from chatvault.settings import InvalidSettings, Settings
from support.commanding import Command


class TestSecretKey:
    def test_hashes_equally_with_the_same_key_only(self) -> None:
        one, other = SecretKey(b"a" * 32), SecretKey(b"b" * 32)

        assert one.hash("alice") == SecretKey(b"a" * 32).hash("alice")
        assert one.hash("alice") != other.hash("alice")
        assert one.hash("alice") != one.hash("alicf")
        assert len(one.hash("alice")) == 32

    def test_accepts_any_text(self) -> None:
        assert SecretKey(b"a" * 32).hash("\ud800 \0 \U0001f600")


class TestLoadSecretKey:
    def test_creates_a_private_file_and_reads_it_again(self, settings: Settings) -> None:
        made = load_secret_key(settings)

        assert load_secret_key(settings).hash("x") == made.hash("x")
        path = settings.data_dir / FILE_NAME
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(settings.data_dir.iterdir()) == [path]

    def test_creates_another_in_another_directory(self, settings: Settings, tmp_path: Path) -> None:
        elsewhere = settings.model_copy(update={"data_dir": tmp_path / "else" / "where"})

        assert load_secret_key(elsewhere).hash("x") != load_secret_key(settings).hash("x")

    def test_prefers_the_setting(self, tmp_path: Path) -> None:
        given = Settings(data_dir=tmp_path, secret_key="k" * 32)

        assert load_secret_key(given).hash("x") == SecretKey(b"k" * 32).hash("x")
        assert not (tmp_path / FILE_NAME).exists()

    def test_refuses_a_malformed_file(self, settings: Settings) -> None:
        path = settings.data_dir / FILE_NAME
        path.touch(mode=0o600)
        path.write_text("\n")

        with pytest.raises(InvalidSettings, match=r"secret\.key holds no key"):
            load_secret_key(settings)


class TestPrivate:
    @pytest.mark.parametrize("mode", [0o755, 0o701, 0o704, 0o777])
    def test_refuses_a_data_directory_open_to_others(self, settings: Settings, mode: int) -> None:
        load_key_ring(settings)
        settings.data_dir.chmod(mode)
        for load in (load_key_ring, load_secret_key):
            with pytest.raises(NotPrivate, match=f"run `chmod 700 {settings.data_dir}`"):
                load(settings)
        settings.data_dir.chmod(0o700)
        load_key_ring(settings)

    def test_is_checked_even_if_settings_hold_the_keys(self, settings: Settings) -> None:
        settings.data_dir.chmod(0o755)
        given = settings.model_copy(
            update={"audit_keys": Settings(audit_keys="ab" * 32).audit_keys}
        )
        with pytest.raises(NotPrivate):
            load_key_ring(given)

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
    def test_refuses_keys_that_others_may_read(self, settings: Settings, mode: int) -> None:
        for name, load in (("audit.keys", load_key_ring), ("secret.key", load_secret_key)):
            load(settings)
            path = settings.data_dir / name
            path.chmod(mode)
            with pytest.raises(NotPrivate, match=f"run `chmod 600 {path}`"):
                load(settings)

    def test_is_reported_by_commands_in_one_line(self, command: Command, tmp_path: Path) -> None:
        data = tmp_path / "data"
        data.mkdir()
        data.chmod(0o755)
        refused = command("users", "list")
        assert (refused.status, refused.out) == (1, "")
        assert refused.line.startswith(f"chatvault: {data} is open to other users")
        data.chmod(0o700)
        assert command("users", "list").status == 0

    def test_creates_a_directory_for_its_owner_only(self, tmp_path: Path) -> None:
        made = tmp_path / "some" / "where"
        open_data_dir(made)
        assert made.stat().st_mode & 0o777 == 0o700

    def test_ignores_a_directory_that_cannot_be_created(self) -> None:
        open_data_dir(Path("/dev/null/data"))

    @pytest.mark.parametrize(("others", "is_refused"), [((), False), (("mallory",), True)])
    def test_allows_a_group_with_no_other_members(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        others: tuple[str, ...],
        is_refused: bool,  # noqa: FBT001  # a parameter of the test
    ) -> None:
        tmp_path.chmod(0o770)
        me = pwd.getpwuid(tmp_path.stat().st_uid)
        users = [me, *(SimpleNamespace(pw_name=name, pw_uid=1, pw_gid=-1) for name in others)]
        monkeypatch.setattr(pwd, "getpwall", lambda: users)
        monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_mem=list(others)))
        if is_refused:
            with pytest.raises(NotPrivate):
                refuse_open(tmp_path)
        else:
            refuse_open(tmp_path)

    def test_allows_a_group_without_a_name(self) -> None:
        assert keys._is_private(2**31 - 7)

    def test_ignores_modes_on_windows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tmp_path.chmod(0o777)
        monkeypatch.setattr(sys, "platform", "win32")
        refuse_open(tmp_path)
