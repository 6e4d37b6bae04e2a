"""The real house for a browser: web and worker as processes, a mail server that keeps what it gets, and people."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

from app import db
from app.cli import main
from app.domain import customers
from app.domain.attachments import add_attachment
from app.domain.staff import add_staff
from app.integrations.storage import DirectoryStorage
from app.observe import SYSTEM, acting
from tasks import worker
from tests import factories
from tests.forked import Forked

ROOT = Path(__file__).parents[2]
STAFF, PASSWORD = "olga", "correct horse battery"
USED_BEFORE = "terms.txt"
TEXTS = {
    "en": ("Maintenance", "Hello {{ customer.name }}, **we** are at work."),
    "de": ("Wartung", "Hallo {{ customer.name }}, **wir** arbeiten."),
}
PEOPLE = {  # name: project, language, e-mail
    "Anna Müller": ("Nordhost", "de", "anna@example.org"),
    "Bernd Jäger": ("Nordhost", "de", "bernd@example.org"),
    "Claire Young": ("Nordhost", "en", "claire@example.org"),
    "Diego Ruiz": ("Nordhost", "es", "diego@example.org"),
    "Ohne Post": ("Nordhost", "de", ""),
    "Eva Alpina": ("Alpenhost", "de", "eva@example.org"),
}


# ---- the mail server -------------------------------------------------------------------------------------------------


class Sink:
    """A mail server that keeps every message with its recipient, waits while it is held, and can be down."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.messages: list[tuple[str, EmailMessage]] = []
        self._free = threading.Event()
        self._free.set()
        self._controller: Controller | None = None

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        await asyncio.to_thread(self._free.wait)
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages += [(address, message) for address in envelope.rcpt_tos]
        return "250 taken"

    def hold(self) -> None:
        self._free.clear()

    def go_on(self) -> None:
        self._free.set()

    def up(self) -> None:
        if self._controller is None:
            self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
            self._controller.start()

    def down(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


# ---- the processes -----------------------------------------------------------------------------------------------


@dataclass
class House:
    url: str
    sink: Sink
    log: Path


async def furnish(database: str, data: Path) -> None:
    """A staff member, customers in several languages, a category, a template, and a file that was used before."""
    db.configure(database)
    with acting(SYSTEM):
        async with db.unit() as session:
            await add_staff(
                session, username=STAFF, full_name="Olga Owner", email="olga@example.com", password=PASSWORD
            )
            names = ("Nordhost", "Alpenhost")
            projects = {name: await factories.create_project(session, name=name) for name in names}
            for name, (project, language, address) in PEOPLE.items():
                await customers.register_customer(
                    session, project_id=projects[project].id, name=name, email=address, language=language,
                    username=name.split()[0].lower(),
                )  # fmt: skip
            category = await factories.create_category(session, name="Maintenance")
            await factories.create_template(session, name="Planned work", category_id=category.id, texts=TEXTS)
        async with db.unit() as session:
            storage = DirectoryStorage(data / "attachments")
            await add_attachment(session, storage, name=USED_BEFORE, chunks=b"the terms", max_bytes=100)
    await db.dispose()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _running(env: dict[str, str], log: Path) -> Iterator[Callable[[], bool]]:
    """Web and worker. The value says whether both are alive."""
    running = [Forked(main, ["web"], env=env, said=log), Forked(worker.run, env=env, said=log)]

    def alive() -> bool:
        return all(process.poll() is None for process in running)

    try:
        yield alive
        assert alive(), log.read_text()[-4000:]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(url: str, alive: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + 90
    while alive() and time.monotonic() < end:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(f"web and worker did not come up:\n{log.read_text()[-4000:]}")


@contextmanager
def open_house(database: str, redis_url: str, data: Path) -> Iterator[House]:
    """The furnished database is served by web and worker until the end of the block."""
    sink, log, port = Sink(_free_port()), data / "log.txt", _free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")} | {
        "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "BURSAR_DATA_DIR": str(data), "BURSAR_DATABASE_URL": database,
        "BURSAR_REDIS_URL": redis_url, "BURSAR_MAIL_URL": f"smtp://127.0.0.1:{sink.port}", "BURSAR_PORT": str(port),
    }  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    sink.up()
    try:
        with _running(env, log) as alive:
            _wait_until_healthy(url, alive, log)
            yield House(url, sink, log)
    finally:
        sink.go_on()
        sink.down()


# ---- the browser ---------------------------------------------------------------------------------------------------


def find_chromium() -> str | None:
    given = os.environ.get("BURSAR_CHROMIUM")
    return given or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Watch:
    """What went wrong in a browser beside what the test looks at: scripts, CSP, failed requests."""

    problems: list[str] = field(default_factory=list)

    def look_at(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda e: self.problems.append(f"script: {e.error}"))
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def _console(self, said: ConsoleMessage) -> None:  # a violated CSP is an error here
        if said.type in ("error", "warning"):
            self.problems.append(f"console: {said.text}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the next page was asked for before it had come
            self.problems.append(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.request.method} {response.url}")


class Keys:
    """The keyboard of somebody who waits until the page listens: a heading is there before the deferred scripts ran."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, key: str) -> None:
        self._page.wait_for_load_state("domcontentloaded")
        self._page.keyboard.press(key)

    def type(self, text: str) -> None:
        self._page.wait_for_load_state("domcontentloaded")
        self._page.keyboard.type(text)


class Walk:
    """A browser of one person; `shot` keeps what they see."""

    def __init__(self, context: BrowserContext, watch: Watch, shots: Path) -> None:
        self.context, self.watch, self.shots, self.page = context, watch, shots, context.new_page()
        self.keys = Keys(self.page)
        self._taken = 0

    def shot(self, name: str) -> None:
        self._taken += 1
        self.page.screenshot(path=self.shots / f"{self._taken:02}-{name}.png")
        assert self.watch.problems == []
