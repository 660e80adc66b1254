from pathlib import Path

import pytest

from chatvault.keys import FILE_NAME, SecretKey, load_secret_key
from chatvault.settings import InvalidSettings, Settings


class TestSecretKey:
    def test_hashes_alike_with_the_same_key_only(self) -> None:
        one, other = SecretKey(b"a" * 32), SecretKey(b"b" * 32)

        assert one.hash("alice") == SecretKey(b"a" * 32).hash("alice")
        assert one.hash("alice") != other.hash("alice")
        assert one.hash("alice") != one.hash("alicf")
        assert len(one.hash("alice")) == 32

    def test_takes_any_text(self) -> None:
        assert SecretKey(b"a" * 32).hash("\ud800 \0 \U0001f600")


class TestLoadSecretKey:
    def test_makes_one_that_only_its_owner_reads_and_finds_it_again(
        self, settings: Settings
    ) -> None:
        made = load_secret_key(settings)

        assert load_secret_key(settings).hash("x") == made.hash("x")
        path = settings.data_dir / FILE_NAME
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(settings.data_dir.iterdir()) == [path]

    def test_makes_another_elsewhere(self, settings: Settings, tmp_path: Path) -> None:
        elsewhere = settings.model_copy(update={"data_dir": tmp_path / "else" / "where"})

        assert load_secret_key(elsewhere).hash("x") != load_secret_key(settings).hash("x")

    def test_prefers_the_setting(self, tmp_path: Path) -> None:
        given = Settings(data_dir=tmp_path, secret_key="k" * 32)

        assert load_secret_key(given).hash("x") == SecretKey(b"k" * 32).hash("x")
        assert not (tmp_path / FILE_NAME).exists()

    def test_refuses_a_file_that_holds_none(self, settings: Settings) -> None:
        (settings.data_dir / FILE_NAME).write_text("\n")

        with pytest.raises(InvalidSettings, match=r"secret\.key holds no key"):
            load_secret_key(settings)
