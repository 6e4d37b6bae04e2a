"""What must be there before a process starts, and `bursar doctor`, which looks at everything."""

from __future__ import annotations

import asyncio
import errno
import os
import smtplib
import socket
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from app.errors import AppError
from app.settings import SettingError, Settings, load

if TYPE_CHECKING:
    from redis.asyncio import Redis

WAIT = 1.0
"""Seconds that Redis has to answer."""
CLOCK_TOLERANCE = 2.0
MOST_WAITING = 1000


class NotReady(AppError):
    """Something that a process needs is missing. The text is one line."""

    status = 503


# ---- before a start -----------------------------------------------------------------------------------------------


def require_port(settings: Settings) -> None:
    """Raise NotReady when the address cannot be listened on."""
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise NotReady(f"BURSAR_HOST {host} is not an address of this machine") from None
    for family, kind, protocol, _name, address in found:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen(1)
            except OSError as problem:
                if isinstance(problem, PermissionError):
                    raise NotReady(f"port {port} needs more rights: set BURSAR_PORT to 1024 or more") from None
                if problem.errno == errno.EADDRINUSE:
                    raise NotReady(f"port {port} on {host} is taken: set BURSAR_PORT to another one") from None
                raise NotReady(f"cannot listen on {host} port {port}: {problem.strerror}") from None


def require_redis(settings: Settings) -> None:
    """Raise NotReady unless Redis answers within a second."""

    async def ask(redis: Redis) -> None:
        await redis.ping()

    asyncio.run(_with_redis(settings, ask))


def require_database(settings: Settings) -> None:
    """Raise AppError unless the database answers and is migrated."""
    from app.migrations import require_head

    require_head(settings)


def redis_client(url: str) -> Redis:
    """A client with short timeouts for `url`: redis://, rediss://, unix:// or redis+sentinel://h:p,h:p/master/0."""
    from redis.asyncio import Redis
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {"socket_timeout": WAIT, "socket_connect_timeout": WAIT, "retry": Retry(NoBackoff(), 0)}
    if not url.startswith("redis+sentinel://"):
        client: Redis = Redis.from_url(url, **options)
        return client
    place, _, rest = url.removeprefix("redis+sentinel://").partition("/")
    master, _, number = rest.partition("/")
    login, _, hosts = place.rpartition("@")
    if login:
        options["password"] = unquote(login.partition(":")[2])
    pairs = [(host.rpartition(":")[0] or host, int(host.rpartition(":")[2] or 26379)) for host in hosts.split(",")]
    sentinel = Sentinel(pairs, sentinel_kwargs=dict(options), **options)  # type: ignore[no-untyped-call]
    found: Redis = sentinel.master_for(master, db=int(number or 0))
    return found


async def _with_redis(settings: Settings, ask: Callable[[Redis], Awaitable[Any]]) -> Any:
    from redis.exceptions import RedisError

    try:
        client = redis_client(settings.redis_url)
        try:
            return await asyncio.wait_for(ask(client), 2 * WAIT)
        finally:
            await client.aclose()
    except (RedisError, OSError, TimeoutError, ValueError) as problem:
        reason = " ".join(str(problem).split()) or "no answer"
        raise NotReady(f"cannot reach Redis at {_without_login(settings.redis_url)}: {reason}") from None


def _without_login(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


# ---- bursar doctor ------------------------------------------------------------------------------------------------


def examine() -> int:
    """Print one line for each check, with ok or FAIL; 0 when all is well, else 1."""
    try:
        settings = load()
    except SettingError as problem:
        _say("settings", False, str(problem))
        return 1
    _say("settings", True, settings.env)
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("data directory", _check_data_dir),
        ("database", _check_database),
        ("foreign keys", _check_foreign_keys),
        ("on disk", _check_durability),
        ("money", _check_money),
        ("redis", _check_redis),
        ("worker", _check_worker),
        ("address", _check_address),
        ("mail", _check_mail),
        ("mailbox", _check_mailbox),
        ("card payments", _check_stripe),
        ("clock", _check_clock),
    ]
    well = True
    for name, check in checks:
        try:
            _say(name, True, check(settings))
        except (AppError, OSError, sqlite3.Error, smtplib.SMTPException) as problem:
            well = False
            _say(name, False, " ".join(str(problem).split()) or type(problem).__name__)
    return 0 if well else 1


def _say(name: str, well: bool, detail: str) -> None:
    print(f"{name:<15} {'ok  ' if well else 'FAIL'}  {detail}".rstrip(), flush=True)


def _check_data_dir(settings: Settings) -> str:
    with tempfile.NamedTemporaryFile(dir=settings.data_dir) as probe:
        probe.write(b"x")
        probe.flush()
    room = os.statvfs(settings.data_dir)
    free = room.f_bavail * room.f_frsize // 1024**2
    if free < 200:
        raise NotReady(f"{settings.data_dir} has only {free} MB left")
    return f"{settings.data_dir}, {free} MB free"


def _check_database(settings: Settings) -> str:
    from app.migrations import current

    require_database(settings)
    return f"{'SQLite' if settings.sqlite_path else 'PostgreSQL'} at {current(settings)}"


def _check_foreign_keys(settings: Settings) -> str:
    from app.migrations import ask

    if path := settings.sqlite_path:
        if not path.exists():
            raise NotReady("there is no database")
        with closing(sqlite3.connect(path, timeout=WAIT)) as connection:
            broken = len(connection.execute("PRAGMA foreign_key_check").fetchall())
    else:
        broken = int(ask(settings, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"))
    if broken:
        raise NotReady(f"{broken} {'rows point to nothing' if path else 'constraints are not validated'}")
    return ""


def _check_durability(settings: Settings) -> str:
    """What was committed must outlive the server: a mark that is lost with it is a letter sent twice."""
    from app.migrations import ask

    if settings.sqlite_path is not None:
        return "SQLite syncs each commit"
    names = "'fsync', 'full_page_writes', 'synchronous_commit'"
    query = f"SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings WHERE name IN ({names}) AND setting = 'off'"  # noqa: S608
    if off := ask(settings, query):
        raise NotReady(f"{off}: off, so what was committed may be lost when the server stops: switch it on")
    return "each commit is synced"


def _check_money(settings: Settings) -> str:
    """Ask every invariant of the ledger and of what was invoiced and paid."""
    from sqlalchemy.exc import SQLAlchemyError

    from app import db
    from app.domain.ledger import invariants
    from app.observe import SYSTEM, acting

    async def ask() -> list[invariants.Breach]:
        db.configure(settings.database_url)
        try:
            async with db.reads() as session:
                return await invariants.check(session)
        finally:
            await db.dispose()

    require_database(settings)
    try:
        with acting(SYSTEM):
            broken = asyncio.run(ask())
    except SQLAlchemyError as problem:
        raise NotReady(f"the money could not be checked: {type(problem).__name__}") from None
    if broken:
        raise NotReady("; ".join(f"{b.text} ({b.n})" for b in broken))
    return f"{len(invariants.INVARIANTS)} invariants hold"


def _check_redis(settings: Settings) -> str:
    async def ask(redis: Redis) -> str:
        return str((await redis.info("server"))["redis_version"])

    return f"version {asyncio.run(_with_redis(settings, ask))}"


def _check_worker(settings: Settings) -> str:
    """arq writes a heartbeat that expires by itself when no worker renews it."""

    async def ask(redis: Redis) -> int:
        return len([key async for key in redis.scan_iter("*:health-check", count=1000)])

    if not asyncio.run(_with_redis(settings, ask)):
        raise NotReady("no heartbeat: start `bursar worker`")
    return "heartbeat seen"


def _check_address(settings: Settings) -> str:
    if settings.production and not settings.public_url:
        raise NotReady("BURSAR_PUBLIC_URL is not set: links in mails would lead to this machine only")
    return settings.public_url or "links in mails lead to this machine only"


def _check_mail(settings: Settings) -> str:
    if settings.mail_url is None:
        settings.outbox.mkdir(parents=True, exist_ok=True)
        if settings.production:
            raise NotReady(f"BURSAR_MAIL_URL is not set: nothing is sent, mail is only written to {settings.outbox}")
        return f"written to {settings.outbox}"
    parts = urlsplit(settings.mail_url)
    host = parts.hostname or ""
    trust = ssl.create_default_context()
    server: smtplib.SMTP
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=5, context=trust)
    else:
        server = smtplib.SMTP(host, parts.port or (587 if parts.scheme == "smtp+starttls" else 25), timeout=5)
    with server:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=trust)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.noop()
    return f"{host} answers"


def _check_mailbox(settings: Settings) -> str:
    from app.integrations.mail.inbound import Mailbox, MailboxError, open_mailbox

    async def look(mailbox: Mailbox) -> int:
        try:
            return len(await mailbox.waiting(MOST_WAITING))
        finally:
            await mailbox.close()

    if settings.inbound_url is None:
        return "none is looked into"
    try:
        n = asyncio.run(look(open_mailbox(settings.inbound_url)))
    except MailboxError as problem:
        raise NotReady(str(problem)) from None
    path = unquote(urlsplit(settings.inbound_url).path)
    if settings.inbound_url.startswith("maildir:") and not os.access(f"{path}/new", os.W_OK | os.X_OK):
        raise NotReady(f"{path}/new cannot be written: what was taken could not be put away")
    return f"{n} waiting" if n < MOST_WAITING else f"{n} or more waiting"


def _check_stripe(settings: Settings) -> str:
    from app.integrations.payments import Stripe

    if not settings.stripe_secret_key:
        return "not set up"
    asyncio.run(Stripe(settings.stripe_secret_key, settings.stripe_webhook_secret, settings.stripe_url).probe())
    return f"Stripe, {'live' if settings.stripe_secret_key[3:7] == 'live' else 'test'} key"


def _check_clock(settings: Settings) -> str:
    """Leases hang on the database's clock, arq's schedule on Redis' and ours: they must agree."""

    async def their_time(redis: Redis) -> float:
        seconds, micros = await redis.time()
        return float(seconds) + float(micros) / 1e6

    from app.migrations import ask

    others = {"Redis": asyncio.run(_with_redis(settings, their_time)) - time.time()}
    if settings.sqlite_path is None:
        now = ask(settings, "SELECT extract(epoch FROM clock_timestamp())")
        others["the database"] = float(now) - time.time()
    for name, apart in others.items():
        if abs(apart) > CLOCK_TOLERANCE:
            raise NotReady(f"{name} and this machine are {abs(apart):.0f} seconds apart")
    return f"within {CLOCK_TOLERANCE:.0f} seconds of {' and '.join(others)}"
