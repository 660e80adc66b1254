from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chatvault.settings import (
    LOCAL_ORIGINS,
    Environment,
    InvalidSettings,
    LogFormat,
    Registration,
    Settings,
    describe,
    load_settings,
)

KEY = "k" * 32


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"CHATVAULT_{name}", value)
    return load_settings()


class TestDefaults:
    def test_are_generous_in_development(self) -> None:
        settings = load_settings()

        assert settings.env is Environment.DEVELOPMENT
        assert (settings.host, settings.port) == ("localhost", 8000)
        assert settings.allowed_origins == LOCAL_ORIGINS
        assert settings.registration is Registration.OPEN
        assert settings.log_format is LogFormat.CONSOLE
        assert settings.trusted_proxies == ()
        assert settings.mongodb_url is None

    def test_are_strict_in_production(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load(monkeypatch, ENV="production")

        assert settings.allowed_origins == ()
        assert settings.registration is Registration.CLOSED
        assert settings.log_format is LogFormat.JSON

    def test_are_overridden_by_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load(
            monkeypatch, ENV="production", REGISTRATION="open", LOG_FORMAT="console",
            ALLOWED_ORIGINS="https://a.example, https://b.example:8443",
            TRUSTED_PROXIES="10.0.0.0/8,127.0.0.1,::1", PORT="0", DATA_DIR="/tmp/x",
        )  # fmt: skip

        assert settings.registration is Registration.OPEN
        assert settings.log_format is LogFormat.CONSOLE
        assert settings.allowed_origins == ("https://a.example", "https://b.example:8443")
        assert [str(network) for network in settings.trusted_proxies] == [
            "10.0.0.0/8", "127.0.0.1/32", "::1/128",
        ]  # fmt: skip
        assert settings.data_dir == Path("/tmp/x")

    def test_of_origins_can_be_emptied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert load(monkeypatch, ALLOWED_ORIGINS="").allowed_origins == ()


class TestWrongValues:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ENV", "staging"),
            ("PORT", "http"),
            ("PORT", "70000"),
            ("PORT", ""),
            ("HOST", ""),
            ("MONGODB_URL", "postgres://x"),
            ("MONGODB_DATABASE", "a/b"),
            ("MONGODB_DATABASE", ""),
            ("MONGODB_TIMEOUT", "0"),
            ("MONGODB_TIMEOUT", "nan"),
            ("SECRET_KEY", "short"),
            ("ALLOWED_ORIGINS", "*"),
            ("ALLOWED_ORIGINS", "null"),
            ("ALLOWED_ORIGINS", "chat.example.org"),
            ("ALLOWED_ORIGINS", "https://chat.example.org/"),
            ("TRUSTED_PROXIES", "proxy.example"),
            ("TRUSTED_PROXIES", "10.0.0.1/8"),
            ("REGISTRATION", "maybe"),
            ("SESSION_LIFETIME", "1"),
            ("BCRYPT_ROUNDS", "3"),
            ("LOG_FORMAT", "xml"),
            ("LOG_LEVEL", "loud"),
        ],
    )
    def test_are_named_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        with pytest.raises(InvalidSettings) as refused:
            load(monkeypatch, **{name: value})

        assert refused.value.detail.startswith(f"CHATVAULT_{name}: ")
        assert "\n" not in refused.value.detail

    def test_never_show_a_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SECRET_KEY", "MONGODB_URL"):
            with pytest.raises(InvalidSettings) as refused:
                load(monkeypatch, **{name: "planted"})
            assert "planted" not in refused.value.detail
            monkeypatch.delenv(f"CHATVAULT_{name}")

    def test_include_unknown_variables_with_a_suggestion(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(InvalidSettings) as refused:
            load(monkeypatch, MONGO_URL="mongodb://x")

        expected = "CHATVAULT_MONGO_URL is not a setting; did you mean CHATVAULT_MONGODB_URL?"
        assert refused.value.detail == expected

    def test_include_other_variables_with_a_command_that_lists_all(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(InvalidSettings, match="see `chatvault settings`"):
            load(monkeypatch, QQQQQQQQQQQQ="1")

    def test_do_not_include_the_commands_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        load(monkeypatch, NEW_PASSWORD="a new password")

    def test_include_a_missing_key_in_production(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InvalidSettings, match="CHATVAULT_SECRET_KEY must be set"):
            load(monkeypatch, ENV="production", MONGODB_URL="mongodb://db")

        with pytest.raises(InvalidSettings, match="CHATVAULT_AUDIT_KEYS must be set"):
            load(monkeypatch, SECRET_KEY=KEY)
        assert load(monkeypatch, AUDIT_KEYS="ab" * 32).secret_key is not None


class TestFiles:
    def test_hold_the_values_of_settings(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        values = {
            "SECRET_KEY": f"{KEY}\n",
            "AUDIT_KEYS": f"{'ab' * 32},{'cd' * 32}\n",
            "MONGODB_URL": "mongodb://u:planted@db\n",
            "PROVIDERS": '{\n "local": {"model": "m", "api_key": "k"}\n}\n',
            "PORT": "8123",
        }
        for name, value in values.items():
            file = tmp_path / name
            file.write_text(value)
            monkeypatch.setenv(f"CHATVAULT_{name}_FILE", str(file))
        monkeypatch.setenv("CHATVAULT_SECRET_KEY", "")  # as Compose sets what is not set

        settings = load(monkeypatch, ENV="production")

        assert settings.secret_key is not None
        assert settings.secret_key.get_secret_value() == KEY
        assert settings.audit_keys is not None
        assert settings.mongodb_url is not None
        assert settings.mongodb_url.get_secret_value() == "mongodb://u:planted@db"
        assert list(settings.providers) == ["local"]
        assert settings.port == 8123

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "CHATVAULT_SECRET_KEY_FILE: {path}: No such file or directory"),
            (b"\n", "CHATVAULT_SECRET_KEY_FILE: {path} is empty"),
            (b"\xff" * 40, "CHATVAULT_SECRET_KEY_FILE: {path} is not text"),
            (b"short", "CHATVAULT_SECRET_KEY: must have at least 32 characters"),
        ],
        ids=["missing", "empty", "binary", "wrong"],
    )
    def test_are_named_if_unusable(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        content: bytes | None,
        message: str,
    ) -> None:
        path = tmp_path / "key"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InvalidSettings) as refused:
            load(monkeypatch, SECRET_KEY_FILE=str(path))
        assert refused.value.detail == message.format(path=path)

    def test_are_refused_beside_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InvalidSettings) as refused:
            load(monkeypatch, SECRET_KEY=KEY, SECRET_KEY_FILE="/run/secrets/key")
        expected = "CHATVAULT_SECRET_KEY and CHATVAULT_SECRET_KEY_FILE are both set; unset one"
        assert refused.value.detail == expected


class TestSettings:
    def test_are_frozen(self, settings: Settings) -> None:
        with pytest.raises(ValidationError):
            settings.port = 1  # type: ignore[misc]  # what must not work

    def test_are_all_described(self, settings: Settings) -> None:
        described = list(describe(settings))

        assert len(described) == len(Settings.model_fields)
        for variable, _value, description in described:
            assert variable.startswith("CHATVAULT_")
            assert description, variable

    def test_show_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load(monkeypatch, SECRET_KEY=KEY, MONGODB_URL="mongodb://u:planted@db")

        shown: Any = "".join(value for _, value, _ in describe(settings)) + repr(settings)
        assert KEY not in shown
        assert "planted" not in shown


class TestOpenaiKey:
    @pytest.fixture(autouse=True)
    def key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-hush")

    def test_names_a_model_in_development(self) -> None:
        settings = load_settings()

        provider = settings.providers["openai"]
        assert provider.api_key is not None
        assert provider.api_key.get_secret_value() == "sk-hush"
        assert (provider.base_url, provider.model) == (None, "gpt-4o-mini")
        assert settings.key_variables == ("OPENAI_API_KEY",)
        assert "sk-hush" not in str(settings) + str(list(describe(settings)))

    def test_stands_beside_that_of_anthropic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-hush")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://localhost:8080")

        settings = load_settings()

        assert [*settings.providers] == ["openai", "anthropic"]
        claude = settings.providers["anthropic"]
        assert (claude.protocol, claude.key) == ("anthropic", "sk-ant-hush")
        assert (claude.base_url, claude.model) == ("http://localhost:8080", "claude-haiku-5-5")
        assert settings.key_variables == ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
        assert "hush" not in str(settings) + str(list(describe(settings)))

    def test_is_sent_to_the_configured_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:11434/v1")
        monkeypatch.setenv("OPENAI_MODEL", "llama3.2")

        provider = load_settings().providers["openai"]

        assert (provider.base_url, provider.model) == ("http://localhost:11434/v1", "llama3.2")

    def test_is_refused_with_an_invalid_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "localhost")

        with pytest.raises(InvalidSettings, match=r"^OPENAI_BASE_URL: must begin with http"):
            load_settings()

    @pytest.mark.parametrize("providers", ["{}", '{"own": {"model": "m"}}'])
    def test_is_overridden_by_the_setting(
        self, monkeypatch: pytest.MonkeyPatch, providers: str
    ) -> None:
        settings = load(monkeypatch, PROVIDERS=providers)

        assert "openai" not in settings.providers
        assert settings.key_variables == ()

    def test_does_not_suffice_in_production(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load(monkeypatch, ENV="production")

        assert settings.providers == {}
        assert settings.key_variables == ()
