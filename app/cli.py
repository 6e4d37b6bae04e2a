"""The `bursar` command. What is heavy is imported in the handlers, so that `bursar --help` answers at once."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import getpass
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from app.errors import AppError
from app.settings import SettingError, Settings, load

FAILED = 2
"""The exit code of every failure that has a sentence of its own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A failure that was to be expected is one line and exit code 2."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.handler(arguments)
        return code
    except (AppError, SettingError) as refusal:
        return _refuse(str(refusal))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `bursar ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as problem:
        reason = _unreachable(problem)
        if reason is None:
            raise
        return _refuse(reason)


def _refuse(reason: str) -> int:
    print(f"bursar: {' '.join(reason.split())}", file=sys.stderr)
    return FAILED


def _unreachable(problem: Exception) -> str | None:
    """The sentence for a database or Redis that goes away while a command runs."""
    from redis.exceptions import ConnectionError as RedisGone
    from sqlalchemy.exc import InterfaceError, OperationalError

    if isinstance(problem, OperationalError | InterfaceError):
        return f"the database refused: {str(problem.orig).splitlines()[0]} (`bursar doctor` says more)"
    if isinstance(problem, RedisGone | ConnectionError):
        return f"a connection failed: {problem} (`bursar doctor` says more)"
    return None


# ---- processes -----------------------------------------------------------------------------------------------------


def _up(arguments: argparse.Namespace) -> int:
    from app.localrun import up

    return up(demo=arguments.demo, port=arguments.port)


def _web(_arguments: argparse.Namespace) -> int:
    settings = load()
    _require(settings)
    from app.doctor import require_port

    require_port(settings)

    import uvicorn

    from app.observe import set_up_logging

    set_up_logging()
    _few_arenas()
    uvicorn.run(
        "app.asgi:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        proxy_headers=settings.trust_proxy,
        forwarded_allow_ips="*" if settings.trust_proxy else None,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=3,
    )
    return 0


def _few_arenas() -> None:
    """Let threads share two heaps: SQLite has a thread per connection, and glibc would give each a heap of its own,
    which it never gives back. Other C libraries have no such setting."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX


def _worker(_arguments: argparse.Namespace) -> int:
    settings = load()
    _require(settings)
    # a process anew: what looked at the database and Redis (Alembic above all) stays in memory otherwise
    arguments = [sys.executable, "-c", "from tasks.worker import run; run()"]
    os.execve(sys.executable, arguments, {"MALLOC_ARENA_MAX": "2", **os.environ})


def _require(settings: Settings) -> None:
    from app.doctor import require_database, require_redis

    require_database(settings)
    require_redis(settings)


def _doctor(_arguments: argparse.Namespace) -> int:
    from app.doctor import examine

    return examine()


# ---- the database --------------------------------------------------------------------------------------------------


def _migrate(_arguments: argparse.Namespace) -> int:
    from app.migrations import upgrade

    done = upgrade(load())
    if done.backup:
        print(f"copied the database to {done.backup}")
    print(f"the database is at {done.after}" + (", nothing to do" if done.before == done.after else ""))
    return 0


@asynccontextmanager
async def _at_work(settings: Settings) -> AsyncIterator[None]:
    """The database and the queue of this process, with the system as the acting person."""
    from app import db, links, queue
    from app.domain.config import live
    from app.observe import SYSTEM, acting

    db.configure(settings.database_url)
    queue.configure(settings.redis_url)
    links.configure(settings)
    try:
        with acting(SYSTEM):
            await live.keep_up()
            yield
    finally:
        await queue.close()
        await db.dispose()


def _on_database(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run `work` on a migrated database."""
    from app.doctor import require_database

    settings = load()
    require_database(settings)

    async def run() -> Any:
        async with _at_work(settings):
            return await work()

    return asyncio.run(run())


def _password(arguments: argparse.Namespace) -> str:
    """The password from the option, from standard input, or asked for twice."""
    if arguments.password is not None:
        return str(arguments.password)
    if arguments.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise AppError("give the password with --password-stdin")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("The same again: "):
        raise AppError("the two passwords differ")
    return first


def _staff_add(arguments: argparse.Namespace) -> int:
    password = _password(arguments)

    async def work() -> None:
        from app.db import unit
        from app.domain.staff import add_staff

        async with unit() as session:
            await add_staff(
                session,
                username=arguments.name,
                full_name=arguments.full_name or arguments.name,
                email=arguments.email,
                password=password,
                role=arguments.role,
            )

    _on_database(work)
    print(f"{arguments.name} may sign in now")
    return 0


def _staff_password(arguments: argparse.Namespace) -> int:
    password = _password(arguments)

    async def work() -> None:
        from sqlalchemy import select

        from app.db import unit
        from app.domain.staff import change_staff
        from app.models.staff import Staff

        async with unit() as session:
            staff = await session.scalar(select(Staff).where(Staff.username == arguments.name))
            if staff is None:
                raise AppError(f"there is no staff member with the user name {arguments.name}")
            await change_staff(session, staff=staff, values={}, password=password)

    _on_database(work)
    print(f"{arguments.name} has a new password and is signed out everywhere")
    return 0


def _demo_add(_arguments: argparse.Namespace) -> int:
    async def work() -> None:
        from app.db import unit
        from app.domain import demo

        async with unit() as session:
            await demo.load(session)

    _on_database(work)
    print("the demo data is there")
    return 0


def _demo_remove(_arguments: argparse.Namespace) -> int:
    async def work() -> list[str]:
        from app.db import unit
        from app.domain import demo

        async with unit() as session:
            removed = await demo.remove(session)
        return removed.lines()

    print("\n".join(_on_database(work)))
    return 0


def _import_customers(arguments: argparse.Namespace) -> int:
    mapping: dict[str, str] = {}
    for pair in arguments.map:
        column, mark, name = pair.partition("=")
        if not (column and mark and name):
            raise AppError(f"--map {pair}: write it as COLUMN=field")
        mapping[column] = name

    async def work() -> list[str]:
        from app.domain.imports import import_customers, workbooks

        with workbooks.as_text(Path(arguments.file)) as path:
            report = await import_customers(
                path,
                project=arguments.project,
                mapping=mapping or None,
                source=arguments.source,
                dry_run=arguments.dry_run,
            )
        return report.lines()

    print("\n".join(_on_database(work)))
    return 0


def _import_consent(arguments: argparse.Namespace) -> int:
    async def work() -> list[str]:
        from app.domain.imports.consents import import_consent

        return (await import_consent(Path(arguments.file), dry_run=arguments.dry_run)).lines()

    print("\n".join(_on_database(work)))
    return 0


def _import_invoices(arguments: argparse.Namespace) -> int:
    async def work() -> list[str]:
        from app.domain.imports import import_invoices

        lines = Path(arguments.lines) if arguments.lines else None
        report = await import_invoices(Path(arguments.file), lines=lines, source=arguments.source)
        return report.lines()

    print("\n".join(_on_database(work)))
    return 0


# ---- the configuration ---------------------------------------------------------------------------------------------


def _config(arguments: argparse.Namespace) -> int:
    async def work() -> int:
        from app.domain.config import terminal
        from app.integrations.storage import DirectoryStorage

        return await terminal.run(arguments, DirectoryStorage(load().data_dir / "attachments"))

    code: int = _on_database(work)
    return code


# ---- the command line ----------------------------------------------------------------------------------------------


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number from 1 to 65535")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bursar", description="The customer desk of a service provider.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, help: str, handler: Callable[[argparse.Namespace], int], under: Any = None) -> Any:
        made = (under or commands).add_parser(name, help=help, description=help)
        made.set_defaults(handler=handler)
        return made

    def family(name: str, help: str) -> Any:
        made = commands.add_parser(name, help=help, description=help)
        return made.add_subparsers(metavar="COMMAND", required=True)

    up = command("up", "everything on this machine: database, Redis, web, worker", _up)
    up.add_argument("--no-demo", dest="demo", action="store_false", help="start empty, without demo data")
    up.add_argument("--port", type=_port, help="listen here instead of BURSAR_PORT")
    command("web", "the web process", _web)
    command("worker", "a worker process", _worker)
    command("migrate", "bring the database to the state of this code", _migrate)
    command("doctor", "check settings, database, Redis, worker, mail and clock", _doctor)

    staff = family("staff", "people who work in the panel")
    add = command("add", "add a person", _staff_add, staff)
    add.add_argument("--email", required=True)
    add.add_argument("--full-name")
    add.add_argument("--role", default="Owner")
    change = command("password", "set a new password", _staff_password, staff)
    for one in (add, change):
        one.add_argument("name", metavar="NAME", help="the user name")
        way = one.add_mutually_exclusive_group()
        way.add_argument("--password", help="visible to other users of this machine while the command runs")
        way.add_argument("--password-stdin", action="store_true", help="read it from standard input")

    demo = family("demo", "data to try things out with")
    command("add", "add the demo data", _demo_add, demo)
    command("remove", "remove the demo data", _demo_remove, demo)

    config = family("config", "the configuration as a file")
    export = command("export", "write it to standard output, or to FILE", _config, config)
    export.add_argument("file", metavar="FILE", nargs="?", help="where it is written")
    diff = command(
        "diff", "say what taking FILE over would change; exit code 1 where something differs", _config, config
    )
    take = command(
        "import", "take FILE over: says what changes, asks, and then does all of it or nothing", _config, config
    )
    for name, one in (("export", export), ("diff", diff), ("import", take)):
        one.set_defaults(what=name)
    for one in (diff, take):
        one.add_argument("file", metavar="FILE", help="YAML, as `bursar config export` writes it")
        one.add_argument("--prune", action="store_true", help="remove what the file does not name")
    take.add_argument("--yes", action="store_true", help="do not ask")
    take.add_argument("--dry-run", action="store_true", help="only try it: report, change nothing")

    source = family("import", "take over data from elsewhere")
    customers = command("customers", "import customers from a CSV or XLSX file", _import_customers, source)
    customers.add_argument("file", metavar="FILE", help="CSV with the names of the columns in the first line")
    customers.add_argument("--project", help="the project they are registered in")
    customers.add_argument("--map", action="append", default=[], metavar="COLUMN=field", help="may be repeated")
    customers.add_argument("--source", default="csv", help="where the IDs of the file come from, for example chinook")
    customers.add_argument("--dry-run", action="store_true", help="report only, change nothing")
    said = command("consent", "import who wants which messages from a CSV file", _import_consent, source)
    said.add_argument("file", metavar="FILE", help="CSV: address, category, subscribed, and channel, when, source")
    said.add_argument("--dry-run", action="store_true", help="report only, change nothing")
    invoices = command("invoices", "import paid invoices of imported customers", _import_invoices, source)
    invoices.add_argument("file", metavar="FILE", help="CSV with number, customer, date and total of each invoice")
    invoices.add_argument("--lines", help="CSV with their lines; else invoice_lines.csv beside it")
    invoices.add_argument("--source", default="csv", help="the source that the customers were imported from")
    return parser
