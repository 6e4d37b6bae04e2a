"""Settings: defaults, each bad value in one line, the secret of a development machine."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from app.settings import SettingError, Settings, load

GOOD_SECRET = "q7Zt0v-Lk3XbN9_rYwM2cFhJ5sPd8gUaE1oTiK6n"


def given(folder: Path, **values: str) -> Settings:
    return load({"BURSAR_DATA_DIR": str(folder), **{f"BURSAR_{name}": value for name, value in values.items()}})


def test_defaults(tmp_path: Path) -> None:
    settings = given(tmp_path)
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/bursar.db"
    assert settings.sqlite_path == tmp_path / "bursar.db"
    assert (settings.host, settings.port, settings.env) == ("127.0.0.1", 8000, "development")
    assert (settings.lease_seconds, settings.max_upload_bytes) == (60, 25 * 1024 * 1024)
    assert settings.mail_url is None
    assert settings.outbox == tmp_path / "outbox"
    assert not settings.redis_chosen


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert given(tmp_path, PORT="", REDIS_URL=" ", ENV="", MAIL_ONLY_TO="", PUBLIC_URL="") == given(tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@db/bursar", "postgresql+asyncpg://u:p@db/bursar"),
        ("postgres://db/bursar?sslmode=require", "postgresql+asyncpg://db/bursar?ssl=require"),
        ("postgresql+asyncpg://db:5433/bursar", "postgresql+asyncpg://db:5433/bursar"),
        ("sqlite:////srv/desk.db", "sqlite+aiosqlite:////srv/desk.db"),
    ],
)
def test_database_urls_get_their_driver(tmp_path: Path, url: str, expected: str) -> None:
    assert given(tmp_path, DATABASE_URL=url).database_url == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hunter2@db/x"),
        ("DATABASE_URL", "postgresql://user:hunter2@db:port/x"),
        ("DATABASE_URL", "postgresql://user:hunter2@db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite+aiosqlite:///:memory:"),
        ("REDIS_URL", "http://:hunter2@host"),
        ("REDIS_URL", "redis://:hunter2@host/first"),
        ("REDIS_URL", "redis+sentinel://:hunter2@a:26379,b:26379"),
        ("REDIS_URL", "redis"),
        ("MAIL_URL", "mail.example.com"),
        ("MAIL_URL", "smtp://user:hunter2@host:99999"),
        ("MAIL_URL", "smtp://user:hun ter2@host"),
        ("MAIL_ONLY_TO", "everybody"),
        ("MAIL_ONLY_TO", ","),
        ("PUBLIC_URL", "desk.example.com"),
        ("PUBLIC_URL", "https://desk.example.com/panel"),
        ("PUBLIC_URL", "https://user:hunter2@desk.example.com"),
        ("HOST", "http://localhost"),
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "٨٠٠٠"),
        ("LEASE_SECONDS", "-1"),
        ("MAX_UPLOAD_MB", "2.5"),
        ("ENV", "prod"),
        ("TRUST_PROXY", "perhaps"),
        ("DATA_DIR", "a\nb"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        given(tmp_path, **{name: value})
    text = str(caught.value)
    assert text.startswith(f"BURSAR_{name} ")
    assert "\n" not in text
    assert "hunter2" not in text


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="BURSAR_DATA_DIR is not a directory"):
        load({"BURSAR_DATA_DIR": str(tmp_path / "file")})


@pytest.mark.parametrize("secret", ["", "short", "a" * 64, "change-me-" + GOOD_SECRET, "secret" + GOOD_SECRET])
def test_production_refuses_a_missing_short_or_default_secret(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingError, match="BURSAR_SECRET_KEY"):
        given(tmp_path, ENV="production", SECRET_KEY=secret)
    assert not (tmp_path / "secret").exists()


def test_production_takes_a_good_secret(tmp_path: Path) -> None:
    settings = given(tmp_path, ENV="production", SECRET_KEY=GOOD_SECRET)
    assert settings.production
    assert settings.secret_key == GOOD_SECRET


def test_a_development_secret_survives_a_restart_and_is_private(tmp_path: Path) -> None:
    first = given(tmp_path / "new").secret_key
    assert len(first) >= 32
    assert given(tmp_path / "new").secret_key == first
    assert given(tmp_path / "other").secret_key != first
    assert stat.S_IMODE((tmp_path / "new" / "secret").stat().st_mode) == 0o600


def test_secrets_do_not_show_in_repr(tmp_path: Path) -> None:
    settings = given(
        tmp_path,
        SECRET_KEY=GOOD_SECRET,
        DATABASE_URL="postgresql://u:hunter2@db/x",
        REDIS_URL="redis://:hunter2@r/0",
        MAIL_URL="smtp://u:hunter2@m",
    )
    assert "hunter2" not in repr(settings)
    assert GOOD_SECRET not in repr(settings)


def test_lists_and_addresses_are_tidied(tmp_path: Path) -> None:
    settings = given(
        tmp_path, MAIL_ONLY_TO=" Anna@Example.com, @test.example ", PUBLIC_URL="https://Desk.example.com/", HOST="[::1]"
    )
    assert settings.mail_only_to == ("anna@example.com", "@test.example")
    assert settings.public_url == "https://desk.example.com"
    assert settings.host == "::1"


def test_settings_imports_nothing_of_ours() -> None:
    import app.settings

    ours = {
        getattr(value, "__module__", "").partition(".")[0]
        for name, value in vars(app.settings).items()
        if getattr(value, "__module__", "") not in ("", None, "app.settings") and not name.startswith("__")
    }
    assert "app" not in ours
    assert sys.modules["app.settings"].__file__


def test_former_keys_are_separated_by_spaces_and_as_long_as_the_present_one(tmp_path: Path) -> None:
    assert given(tmp_path).old_secret_keys == ()
    former = ("b" * 32, GOOD_SECRET)
    settings = given(tmp_path, OLD_SECRET_KEYS="  ".join(former))
    assert settings.old_secret_keys == former and GOOD_SECRET not in repr(settings)
    with pytest.raises(SettingError, match="BURSAR_OLD_SECRET_KEYS"):
        given(tmp_path, OLD_SECRET_KEYS=f"{GOOD_SECRET} short")


def test_stripe_needs_both_secrets_of_their_kind(tmp_path: Path) -> None:
    keys = {"STRIPE_SECRET_KEY": "sk_test_hunter2", "STRIPE_WEBHOOK_SECRET": "whsec_hunter2"}
    settings = given(tmp_path, **keys, STRIPE_URL="http://127.0.0.1:4242/")
    assert (settings.stripe_secret_key, settings.stripe_webhook_secret) == ("sk_test_hunter2", "whsec_hunter2")
    assert settings.stripe_url == "http://127.0.0.1:4242" and "hunter2" not in repr(settings)
    assert given(tmp_path, **keys | {"STRIPE_SECRET_KEY": "rk_live_hunter2"}).stripe_secret_key == "rk_live_hunter2"
    assert given(tmp_path).stripe_secret_key == ""
    for wrong in (
        {"STRIPE_SECRET_KEY": "pk_test_hunter2"}, {"STRIPE_SECRET_KEY": "sk_test hunter2"},
        {"STRIPE_SECRET_KEY": ""}, {"STRIPE_WEBHOOK_SECRET": ""}, {"STRIPE_WEBHOOK_SECRET": "hunter2"},
        {"STRIPE_URL": "api.stripe.com"}, {"STRIPE_URL": "ftp://hunter2"}, {"STRIPE_URL": "https://x/?hunter2"},
    ):  # fmt: skip
        with pytest.raises(SettingError, match="BURSAR_STRIPE") as refused:
            given(tmp_path, **keys | wrong)
        assert "hunter2" not in str(refused.value) and "\n" not in str(refused.value)
