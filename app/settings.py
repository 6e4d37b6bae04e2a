"""Settings from environment variables. Nothing of ours is imported here."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

DEFAULT_REDIS = "redis://127.0.0.1:6379/0"
SHORTEST_SECRET = 32
PLACEHOLDERS = ("change", "secret", "example", "default", "password")

Environment = Literal["development", "production"]


class SettingError(ValueError):
    """A variable holds a value that cannot be used. The text is one line that names the variable."""


@dataclass(frozen=True)
class Settings:
    """What a process is told from outside. Secrets do not show in `repr()`."""

    database_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    data_dir: Path
    old_secret_keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys of the past: what mails hold that were signed with them is still accepted."""
    redis_url: str = field(default=DEFAULT_REDIS, repr=False)
    redis_chosen: bool = False
    """True when BURSAR_REDIS_URL was set; `bursar up` starts a Redis of its own when it was not."""
    mail_url: str | None = field(default=None, repr=False)
    """None: mail is written to `outbox` instead of being sent."""
    mail_only_to: tuple[str, ...] = ()
    """Lower-case addresses, or `@domain`; empty: everybody."""
    public_url: str | None = None
    """Without a slash at the end. None: pages use the host of each request, links in mails `host` and `port`."""
    host: str = "127.0.0.1"
    port: int = 8000
    env: Environment = "development"
    trust_proxy: bool = False
    lease_seconds: int = 60
    send_window: int = 500
    max_upload_mb: int = 25
    inbound_address: str = ""
    """`desk@example.com`, where mail to `desk+anything@` comes too, or `@example.com` where all mail comes. Empty: mail
    asks for no answer to an address of its own."""
    inbound_url: str | None = field(default=None, repr=False)
    """The mailbox that is looked into: `imaps://user:password@host/INBOX` or `maildir:///path`."""
    inbound_secret: str = field(default="", repr=False)
    """Of who may post mail to `/inbound/mail`; empty: nobody."""
    inbound_keep_days: int = 90
    """How long the original of a mail is kept that is in a ticket, or of no interest."""
    enter_minutes: int = 120
    staff_two_factor: bool = False
    """Staff without two-factor sign-in see nothing but the page where they set it up."""
    """So old may the sign-in of staff be who enter a customer's account; then the password is asked again."""
    stripe_secret_key: str = field(default="", repr=False)
    """Empty: no payments by card."""
    stripe_webhook_secret: str = field(default="", repr=False)
    stripe_url: str = ""
    """Of a server that speaks Stripe's API; empty: Stripe."""
    sms_url: str = field(default="", repr=False)
    """Where texts for phones are posted to; empty: codes go by e-mail, in development into the outbox."""
    sms_secret: str = field(default="", repr=False)
    webhook_private: bool = False
    """Whether rules may call webhooks at addresses that are not public, such as 10.0.0.7 or localhost."""

    @property
    def production(self) -> bool:
        """True in production."""
        return self.env == "production"

    @property
    def max_upload_bytes(self) -> int:
        """The largest accepted upload in bytes."""
        return self.max_upload_mb * 1024 * 1024

    @property
    def outbox(self) -> Path:
        """Where mail is written while no mail server is set."""
        return self.data_dir / "outbox"

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, or None on PostgreSQL."""
        if not self.database_url.startswith("sqlite"):
            return None
        return Path(self.database_url.partition("///")[2].partition("?")[0])


def load(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `env` (default: the environment of the process). An empty variable counts as not set.

    In development without BURSAR_SECRET_KEY a random key is made once and kept in the data directory.
    Raises SettingError at the first value that cannot be used.
    """
    values = {name: value.strip() for name, value in (os.environ if env is None else env).items()}
    data_dir = _data_dir(values.get("BURSAR_DATA_DIR") or "var")
    environment = _environment(values.get("BURSAR_ENV") or "development")
    return Settings(
        database_url=_database_url(values.get("BURSAR_DATABASE_URL", ""), data_dir),
        redis_url=_redis_url(values.get("BURSAR_REDIS_URL") or DEFAULT_REDIS),
        redis_chosen=bool(values.get("BURSAR_REDIS_URL")),
        mail_url=_mail_url(values.get("BURSAR_MAIL_URL", "")),
        mail_only_to=_mail_only_to(values.get("BURSAR_MAIL_ONLY_TO", "")),
        public_url=_public_url(values.get("BURSAR_PUBLIC_URL", "")),
        host=_host(values.get("BURSAR_HOST") or "127.0.0.1"),
        port=_number(values, "BURSAR_PORT", 8000, 1, 65535),
        env=environment,
        trust_proxy=_yes_no(values, "BURSAR_TRUST_PROXY"),
        lease_seconds=_number(values, "BURSAR_LEASE_SECONDS", 60, 1, 3600),
        send_window=_number(values, "BURSAR_SEND_WINDOW", 500, 1, 5000),
        max_upload_mb=_number(values, "BURSAR_MAX_UPLOAD_MB", 25, 1, 1024),
        inbound_address=_inbound_address(values.get("BURSAR_INBOUND_ADDRESS", "")),
        inbound_url=_inbound_url(values.get("BURSAR_INBOUND_URL", "")),
        inbound_secret=_inbound_secret(values.get("BURSAR_INBOUND_SECRET", "")),
        inbound_keep_days=_number(values, "BURSAR_INBOUND_KEEP_DAYS", 90, 1, 3650),
        staff_two_factor=_yes_no(values, "BURSAR_STAFF_TWO_FACTOR"),
        enter_minutes=_number(values, "BURSAR_ENTER_MINUTES", 120, 1, 10_080),
        stripe_secret_key=_stripe(values, "BURSAR_STRIPE_SECRET_KEY", ("sk_", "rk_")),
        stripe_webhook_secret=_stripe(values, "BURSAR_STRIPE_WEBHOOK_SECRET", ("whsec_",)),
        stripe_url=_stripe_url(values.get("BURSAR_STRIPE_URL", "")),
        sms_url=_sms_url(values),
        sms_secret=values.get("BURSAR_SMS_SECRET", ""),
        webhook_private=_yes_no(values, "BURSAR_WEBHOOK_PRIVATE"),
        data_dir=data_dir,
        secret_key=_secret_key(values.get("BURSAR_SECRET_KEY", ""), environment, data_dir),
        old_secret_keys=_old_secret_keys(values.get("BURSAR_OLD_SECRET_KEYS", "")),
    )


def _data_dir(value: str) -> Path:
    if "\0" in value or "\n" in value:
        raise SettingError("BURSAR_DATA_DIR must be the path of a directory")
    try:
        path = Path(value).expanduser().absolute()
    except RuntimeError:
        raise SettingError("BURSAR_DATA_DIR starts with ~, and there is no home directory") from None
    if path.exists() and not path.is_dir():
        raise SettingError(f"BURSAR_DATA_DIR is not a directory: {path}")
    return path


def _environment(value: str) -> Environment:
    if value == "development":
        return "development"
    if value == "production":
        return "production"
    raise SettingError("BURSAR_ENV must be development or production")


def _split(name: str, value: str) -> SplitResult:
    """The parts of a URL; errors never repeat the value, which may hold a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise SettingError(f"{name} is not a valid URL") from None
    if any(character.isspace() or ord(character) < 32 for character in value):
        raise SettingError(f"{name} must not contain spaces or control characters")
    return parts


def _database_url(value: str, data_dir: Path) -> str:
    name = "BURSAR_DATABASE_URL"
    if not value:
        return f"sqlite+aiosqlite:///{data_dir / 'bursar.db'}"
    scheme, separator, rest = value.partition("://")
    if scheme in ("sqlite", "sqlite+aiosqlite") and separator:
        path, mark, query = rest.removeprefix("/").partition("?")
        if not rest.startswith("/") or path in ("", ":memory:") or path.startswith("file:"):
            raise SettingError(f"{name} must name a file (sqlite:///path/to/file), since several processes share it")
        return f"sqlite+aiosqlite:///{Path(path).absolute()}{mark}{query}"
    if scheme in ("postgres", "postgresql", "postgresql+asyncpg") and separator:
        parts = _split(name, value)
        query = urlencode([("ssl" if key == "sslmode" else key, text) for key, text in parse_qsl(parts.query)])
        if len(parts.path) < 2:
            raise SettingError(f"{name} must name a database: postgresql://user:password@host/database")
        return urlunsplit(("postgresql+asyncpg", parts.netloc, parts.path, query, ""))
    raise SettingError(f"{name} must start with postgresql:// or sqlite:///")


def _redis_url(value: str) -> str:
    name = "BURSAR_REDIS_URL"
    scheme = value.partition("://")[0]
    if scheme == "redis+sentinel":  # several hosts, which urlsplit takes for a bad port
        if not value.partition("://")[2].partition("/")[2].partition("/")[0]:
            raise SettingError(f"{name} must name the master: redis+sentinel://host:26379,host:26379/master/0")
        return value
    parts = _split(name, value)
    if scheme in ("redis", "rediss") and parts.hostname:
        if not (parts.path.strip("/") or "0").isdecimal():
            raise SettingError(f"{name} must end in the number of a database: redis://host:6379/0")
        return value
    if scheme == "unix" and parts.path:
        return value
    raise SettingError(f"{name} must start with redis://, rediss://, unix:/// or redis+sentinel://")


def _mail_url(value: str) -> str | None:
    name = "BURSAR_MAIL_URL"
    if not value:
        return None
    parts = _split(name, value)
    if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname:
        raise SettingError(f"{name} must look like smtp+starttls://user:password@host:587 (or smtp://, smtps://)")
    return value


def _mail_only_to(value: str) -> tuple[str, ...]:
    entries = tuple(entry.strip().lower() for entry in value.split(",") if entry.strip())
    for entry in entries:
        if "@" not in entry or entry.endswith("@") or " " in entry:
            raise SettingError("BURSAR_MAIL_ONLY_TO must list addresses or @domains, separated by commas")
    if value and not entries:
        raise SettingError("BURSAR_MAIL_ONLY_TO is set and names nobody")
    return entries


def _inbound_address(value: str) -> str:
    value = value.lower()
    local, at, host = value.rpartition("@")
    # the signed part takes up to 40 characters of the 64 that a local part may have (RFC 5321, 4.5.3.1)
    wrong = not at or not host.isascii() or not host.strip(".") or len(local) > 20 or "@" in local or "+" in local
    if value and (wrong or not value.isascii() or any(c.isspace() or c in '<>(),;:"\\[]' for c in value)):
        raise SettingError(
            "BURSAR_INBOUND_ADDRESS must look like desk@example.com (at most 20 characters before the @), or "
            "@example.com where all mail comes in"
        )
    return value


def _inbound_url(value: str) -> str | None:
    name = "BURSAR_INBOUND_URL"
    if not value:
        return None
    parts = _split(name, value)
    imap = parts.scheme in ("imap", "imaps", "imap+starttls") and parts.hostname and parts.username
    if not imap and not (parts.scheme == "maildir" and not parts.netloc and len(parts.path) > 1):
        raise SettingError(f"{name} must look like imaps://user:password@host/INBOX or maildir:///path/to/Maildir")
    return value


def _inbound_secret(value: str) -> str:
    if value and len(value) < SHORTEST_SECRET:
        raise SettingError(f"BURSAR_INBOUND_SECRET must hold at least {SHORTEST_SECRET} characters")
    return value


def _stripe(values: Mapping[str, str], name: str, starts: tuple[str, ...]) -> str:
    value = values.get(name, "")
    if value and not (value.startswith(starts) and value.isascii() and value.isprintable() and " " not in value):
        raise SettingError(f"{name} must begin with {' or '.join(starts)}")
    other = "BURSAR_STRIPE_WEBHOOK_SECRET" if name == "BURSAR_STRIPE_SECRET_KEY" else "BURSAR_STRIPE_SECRET_KEY"
    if value and not values.get(other):
        raise SettingError(f"{name} needs {other} too")
    return value


def _stripe_url(value: str) -> str:
    if not value:
        return ""
    parts = _split("BURSAR_STRIPE_URL", value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingError("BURSAR_STRIPE_URL must look like https://api.stripe.com")
    return value.rstrip("/")


def _sms_url(values: Mapping[str, str]) -> str:
    value, secret = values.get("BURSAR_SMS_URL", ""), values.get("BURSAR_SMS_SECRET", "")
    if not value:
        return ""
    parts = _split("BURSAR_SMS_URL", value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise SettingError("BURSAR_SMS_URL must look like https://sms.example.com/send")
    if len(secret) < SHORTEST_SECRET:
        raise SettingError(f"BURSAR_SMS_URL needs BURSAR_SMS_SECRET, with at least {SHORTEST_SECRET} characters")
    return value


def _public_url(value: str) -> str | None:
    if not value:
        return None
    parts = _split("BURSAR_PUBLIC_URL", value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise SettingError("BURSAR_PUBLIC_URL must look like https://desk.example.com, without a path")
    if parts.username or parts.fragment:
        raise SettingError("BURSAR_PUBLIC_URL must hold neither a user name nor a fragment")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _host(value: str) -> str:
    host = value.removeprefix("[").removesuffix("]")
    if not host or "/" in host or any(character.isspace() for character in host):
        raise SettingError("BURSAR_HOST must be an address to listen on, for example 127.0.0.1 or 0.0.0.0")
    return host


def _number(values: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = values.get(name, "")
    if not text:
        return default
    if text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most:
        return int(text)
    raise SettingError(f"{name} must be a whole number from {least} to {most}")


def _yes_no(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name, "").lower()
    if text in ("", "0", "no", "false", "off"):
        return False
    if text in ("1", "yes", "true", "on"):
        return True
    raise SettingError(f"{name} must be 1 or 0")


def _secret_key(value: str, environment: Environment, data_dir: Path) -> str:
    if environment == "production":
        guessable = len(set(value)) < 10 or any(value.lower().startswith(word) for word in PLACEHOLDERS)
        if len(value) < SHORTEST_SECRET or guessable:
            raise SettingError(
                f"BURSAR_SECRET_KEY must hold at least {SHORTEST_SECRET} random characters in production"
                ' (python3 -c "import secrets; print(secrets.token_urlsafe(48))")'
            )
        return value
    return value or _kept_secret(data_dir)


def _old_secret_keys(value: str) -> tuple[str, ...]:
    """They still open links, so a short one would be a hole as the present one would."""
    keys = tuple(value.split())
    if any(len(key) < SHORTEST_SECRET for key in keys):
        raise SettingError(f"BURSAR_OLD_SECRET_KEYS must hold keys of at least {SHORTEST_SECRET} characters")
    return keys


def _kept_secret(data_dir: Path) -> str:
    """The secret of a development machine: made once, readable by its owner only, the same after a restart."""
    path = data_dir / "secret"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(48))
        for _ in range(20):  # another process may be between creating and writing
            text = path.read_text("ascii", errors="replace").strip()
            if len(text) >= SHORTEST_SECRET:
                return text
            time.sleep(0.05)
    except OSError as problem:
        raise SettingError(f"BURSAR_DATA_DIR cannot be used: {problem.strerror}: {problem.filename}") from None
    raise SettingError(f"BURSAR_SECRET_KEY is not set and {path} is too short: delete that file or set the variable")
