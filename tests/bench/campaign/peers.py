"""The others, each in an environment of its own: peers.py NAME SINK_PORT DATABASE_URL REDIS_URL N [work].

Each keeps a row per recipient in PostgreSQL, reads it, renders text and HTML with Jinja2, builds the message with
Python's own classes, and marks the row as sent. Prints seconds and the processor time of its worker as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import smtplib
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
from tests.bench.campaign.content import TEXTS, person  # noqa: E402

NAME, PORT, DATABASE, REDIS, N = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
BATCH = 500
TABLE = """DROP TABLE IF EXISTS peer_mail; CREATE TABLE peer_mail (id bigint PRIMARY KEY, name text, contact text,
    address text, language text, state text NOT NULL DEFAULT 'due', sent_at timestamptz);
    CREATE INDEX ON peer_mail (state)"""


def rows() -> list[tuple[Any, ...]]:
    return [(n, *person(n)) for n in range(N)]


def templates() -> dict[str, tuple[Any, Any, Any]]:
    """Language -> subject, text, HTML, compiled once."""
    import jinja2

    plain = jinja2.Environment(autoescape=jinja2.select_autoescape(default_for_string=False))
    html = jinja2.Environment(autoescape=jinja2.select_autoescape(default_for_string=True))
    found = {}
    for language, (subject, body) in TEXTS.items():
        marked = body.replace("**", "").replace("\n\n", "</p>\n<p>").replace("\n- ", "\n<br>&bull; ")
        page = (
            f"<!doctype html><html lang={language}><body><table><tr><td><p>{marked}</p></td></tr></table></body></html>"
        )
        found[language] = plain.from_string(subject), plain.from_string(body), html.from_string(page)
    return found


COMPILED: dict[str, tuple[Any, Any, Any]] = {}


def build(n: int, name: str, contact: str, address: str, language: str) -> EmailMessage:
    if not COMPILED:
        COMPILED.update(templates())
    subject, text, html = COMPILED[language]
    values = {"customer": {"name": name, "contact_person": contact, "id": n}, "project": {"name": "Nordhost"}}
    message = EmailMessage()
    message["From"], message["To"] = "Nordhost support <desk@nordhost.example>", address
    message["Subject"], message["Message-ID"] = subject.render(values), f"<peer.{n}@nordhost.example>"
    message.set_content(text.render(values))
    message.add_alternative(html.render(values), subtype="html")
    return message


class Psycopg:
    """A connection of this process, and an SMTP session that is used again."""

    def __init__(self) -> None:
        import psycopg

        self.database = psycopg.connect(DATABASE, autocommit=True)
        self.smtp = smtplib.SMTP("127.0.0.1", PORT)

    def send(self, ids: list[int]) -> None:
        found = self.database.execute(
            "SELECT id, name, contact, address, language FROM peer_mail WHERE id = ANY(%s) AND state = 'due'", (ids,)
        ).fetchall()
        for row in found:
            self.smtp.send_message(build(*row))
        done = [row[0] for row in found]
        self.database.execute("UPDATE peer_mail SET state = 'sent', sent_at = now() WHERE id = ANY(%s)", (done,))

    def prepare(self) -> None:
        self.database.execute(TABLE)
        with self.database.cursor().copy("COPY peer_mail (id, name, contact, address, language) FROM STDIN") as copy:
            for row in rows():
                copy.write_row(row)

    def wait(self, worker: subprocess.Popen[bytes]) -> None:
        left = "SELECT 1 FROM peer_mail WHERE state = 'due' LIMIT 1"
        while worker.poll() is None and self.database.execute(left).fetchone():
            time.sleep(0.05)


def started(command: list[str], log: str) -> subprocess.Popen[bytes]:
    with (ROOT / "var" / "bench" / log).open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT / "var" / "bench", env=dict(os.environ))


def say(began: float, before: float) -> None:
    seconds = time.monotonic() - began
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = of_children.ru_utime + of_children.ru_stime - before
    print(json.dumps({"seconds": seconds, "n": N, "cpu": cpu}))


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


# ---- Celery ---------------------------------------------------------------------------------------------------------


def celery() -> None:
    from celery import Celery

    app = Celery("peers", broker=REDIS.replace("unix://", "redis+socket://"))
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)
    kept: list[Psycopg] = []

    @app.task(name="send", acks_late=True)
    def send(ids: list[int]) -> None:
        if not kept:
            kept.append(Psycopg())
        kept[0].send(ids)

    if sys.argv[6:] == ["work"]:
        app.worker_main(["worker", "--concurrency=1", "--loglevel=WARNING", "--without-gossip", "--without-mingle"])
        return
    here = Psycopg()
    here.prepare()
    worker = started([sys.executable, __file__, *sys.argv[1:6], "work"], f"{NAME}.log")
    time.sleep(4)
    began = time.monotonic()
    size = BATCH if NAME == "celery-batch" else 1
    with app.producer_pool.acquire(block=True) as producer:
        for start in range(0, N, size):
            send.apply_async(([*range(start, min(start + size, N))],), producer=producer)
    here.wait(worker)
    ended = time.monotonic() - began
    stop(worker)
    say(time.monotonic() - ended, 0.0)


# ---- arq ------------------------------------------------------------------------------------------------------------


async def arq_send(ctx: dict[str, Any], n: int) -> None:
    row = await ctx["pool"].fetchrow("SELECT id, name, contact, address, language FROM peer_mail WHERE id = $1", n)
    await ctx["smtp"].send_message(build(*row))
    await ctx["pool"].execute("UPDATE peer_mail SET state = 'sent', sent_at = now() WHERE id = $1", n)


async def arq_startup(ctx: dict[str, Any]) -> None:
    import aiosmtplib
    import asyncpg

    ctx["pool"] = await asyncpg.create_pool(DATABASE)
    ctx["smtp"] = aiosmtplib.SMTP(hostname="127.0.0.1", port=PORT)
    await ctx["smtp"].connect()


def arq() -> None:
    import asyncpg
    from arq import create_pool, run_worker
    from arq.connections import RedisSettings

    settings = RedisSettings.from_dsn(REDIS)
    if sys.argv[6:] == ["work"]:

        class Work:
            functions = [arq_send]
            on_startup = arq_startup
            redis_settings = settings

        asyncio.set_event_loop(asyncio.new_event_loop())
        run_worker(Work)  # type: ignore[arg-type]
        return

    async def go() -> float:
        database = await asyncpg.connect(DATABASE)
        await database.execute(TABLE)
        columns = ["id", "name", "contact", "address", "language"]
        await database.copy_records_to_table("peer_mail", records=rows(), columns=columns)
        redis = await create_pool(settings)
        began = time.monotonic()
        for n in range(N):
            await redis.enqueue_job("arq_send", n)
        left: Any = True
        while left and worker.poll() is None:
            await asyncio.sleep(0.05)
            left = await database.fetchval("SELECT 1 FROM peer_mail WHERE state = 'due' LIMIT 1")
        return time.monotonic() - began

    worker = started([sys.executable, __file__, *sys.argv[1:6], "work"], f"{NAME}.log")
    time.sleep(2)
    ended = asyncio.run(go())
    stop(worker)
    say(time.monotonic() - ended, 0.0)


# ---- Django ---------------------------------------------------------------------------------------------------------


def django() -> None:
    """`send_mass_mail` knows plain text only, and no rows: those are read and marked around it, 500 at a time."""
    from django.conf import settings
    from django.core.mail import send_mass_mail

    settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=PORT, DEFAULT_CHARSET="utf-8")
    here = Psycopg()
    here.prepare()
    compiled = templates()
    began, cpu = time.monotonic(), time.process_time()
    for start in range(0, N, BATCH):
        ids = [*range(start, min(start + BATCH, N))]
        found = here.database.execute(
            "SELECT id, name, contact, address, language FROM peer_mail WHERE id = ANY(%s)", (ids,)
        ).fetchall()
        messages = []
        for n, name, contact, address, language in found:
            subject, text, _html = compiled[language]
            values = {"customer": {"name": name, "contact_person": contact, "id": n}, "project": {"name": "Nordhost"}}
            messages.append((subject.render(values), text.render(values), "desk@nordhost.example", [address]))
        send_mass_mail(messages)
        here.database.execute("UPDATE peer_mail SET state = 'sent', sent_at = now() WHERE id = ANY(%s)", (ids,))
    say(began, -(time.process_time() - cpu))


# ---- the line of 20 ms ----------------------------------------------------------------------------------------------


def aiosmtplib_pool() -> None:
    """As many connections as Bursar has, each used again; only the sending, without rows."""
    import aiosmtplib

    async def go() -> float:
        clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=PORT) for _n in range(8)]
        for client in clients:
            await client.connect()
        waiting = iter(rows())

        async def work(client: aiosmtplib.SMTP) -> None:
            for row in waiting:
                await client.send_message(build(*row))

        began = time.monotonic()
        await asyncio.gather(*[work(client) for client in clients])
        return time.monotonic() - began

    cpu = time.process_time()
    ended = asyncio.run(go())
    say(time.monotonic() - ended, -(time.process_time() - cpu))


if __name__ == "__main__":
    {"celery": celery, "celery-batch": celery, "arq": arq, "django": django, "aiosmtplib": aiosmtplib_pool}[NAME]()
