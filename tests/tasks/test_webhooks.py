"""Webhooks of rules: a real server, signatures, tries, and no way into our own network."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app import db, links
from app.db import moment, unit, utcnow
from app.domain import automation
from app.integrations import webhooks
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.automation import Rule, RuleRun, RunState
from app.models.jobs import Job, JobState
from app.settings import Settings
from tasks import automation as tasks
from tasks import base
from tests import factories as make
from tests.integrations.sms_gateway import Gateway, sms_gateway

assert tasks
pytestmark = [
    pytest.mark.usefixtures("database", "redis"),
    pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True),
]


def resources_of(database: str, folder: Path, *, private: bool) -> base.Resources:
    settings = Settings(database_url=database, secret_key="k" * 40, data_dir=folder, webhook_private=private)
    links.configure(settings)
    return base.Resources(settings, OutboxMailer(folder / "outbox"), DirectoryStorage(folder / "attachments"))


async def work_off(resources: base.Resources, *, rounds: int = 40) -> None:
    """All jobs of rules, those that wait for another try at once."""
    for _n in range(rounds):
        async with unit() as session:
            due = Job.state == JobState.DUE, Job.name.like("automation.%"), Job.name != tasks.WATCH
            found = await session.scalar(select(Job.id).where(*due).order_by(Job.id))
            await session.execute(update(Job).where(*due).values(due_at=moment()))
        if found is None:
            return
        await base.run_job(found, resources)
    raise AssertionError("it does not end")


async def calling(url: str) -> tuple[Rule, str]:
    """A rule in use that calls this address, and its secret."""
    async with unit() as session:
        rule = await automation.save_rule(session, values={
            "name": "Call", "trigger": "registered", "actions": [{"kind": "webhook", "url": url}],
        })  # fmt: skip
        await automation.switch(session, rule=rule, on=True)
        assert rule.secret and "whsec" not in rule.secret
        secret = automation.secret_of(rule)
    assert secret is not None
    return rule, secret


async def the_run() -> RuleRun:
    async with db.reads() as session:
        return (await session.scalars(select(RuleRun))).one()


async def test_a_call_is_signed_tried_again_and_told(database: str, tmp_path: Path) -> None:
    resources = resources_of(database, tmp_path, private=True)
    async with sms_gateway() as server:
        server.answers[:] = [503, 500, 200]
        rule, secret = await calling(server.url)
        async with unit() as session:
            customer = await make.create_customer(session, name="Ada", email="ada@example.org")
        await work_off(resources)
    assert len(server.got) == 3
    ids = set()
    for headers, body in server.got:
        ids.add(headers["webhook-id"])
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mine = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{mine}"
        assert abs(int(headers["webhook-timestamp"]) - utcnow().timestamp()) < 60
        said = json.loads(body)
        assert said["type"] == "rule.registered" and said["data"]["customer"]["id"] == customer.id
    run = await the_run()
    assert len(ids) == 1 and run.state is RunState.DONE
    [told] = run.done.values()
    assert (told["state"], told["ref"]) == ("ok", 200)
    assert rule.id == run.rule_id


async def test_what_is_refused_for_good_is_not_tried_again_until_somebody_says_so(
    database: str, tmp_path: Path
) -> None:
    resources = resources_of(database, tmp_path, private=True)
    async with sms_gateway() as server:
        server.answers[:] = [410]
        await calling(server.url)
        async with unit() as session:
            await make.create_customer(session)
        await work_off(resources)
        run = await the_run()
        assert len(server.got) == 1 and run.state is RunState.FAILED
        async with unit() as session:
            await automation.again(session, run_id=run.id)
        await work_off(resources)
        assert len(server.got) == 2 and (await the_run()).state is RunState.DONE
        assert server.got[0][0]["webhook-id"] == server.got[1][0]["webhook-id"]


async def test_the_tries_end(database: str, tmp_path: Path) -> None:
    resources = resources_of(database, tmp_path, private=True)
    async with sms_gateway() as server:
        server.answers[:] = [500] * 50
        await calling(server.url)
        async with unit() as session:
            await make.create_customer(session)
        await work_off(resources)
        assert len(server.got) == tasks.CALLS
    run = await the_run()
    assert run.state is RunState.FAILED and run.finished_at is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_nothing_of_our_own_network_is_called(database: str, tmp_path: Path, host: str) -> None:
    resources = resources_of(database, tmp_path, private=False)
    async with sms_gateway() as server:
        await calling(server.url.replace("127.0.0.1", host))
        async with unit() as session:
            await make.create_customer(session)
        await work_off(resources)
        assert server.got == []
    run = await the_run()
    [told] = run.done.values()
    assert (run.state, told["state"], told["note"]) == (RunState.FAILED, "failed", "the address is not a public one")


@pytest.mark.parametrize(
    ("address", "expected"),
    [("93.184.216.34", True), ("2606:2800:220:1::1", True), ("10.0.0.1", False), ("169.254.169.254", False),
     ("192.168.1.1", False), ("100.64.0.1", False), ("0.1.2.3", False), ("224.0.0.1", False), ("::1", False),
     ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:10.0.0.1", False), ("::ffff:93.184.216.34", True),
     ("2002:7f00:0001::", False), ("64:ff9b::a00:1", False), ("255.255.255.255", False), ("::", False)],
)  # fmt: skip
def test_which_addresses_are_public(address: str, expected: bool) -> None:
    assert webhooks.public(address) is expected


@asynccontextmanager
async def speaking(answer: bytes, *, pause: float = 0, more: float = 0) -> AsyncIterator[str]:
    """A server that says this to everybody. more: another letter every so many seconds."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(pause)
        try:
            writer.write(answer)
            await writer.drain()
            while more:
                await asyncio.sleep(more)
                writer.write(b"y")
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def call(url: str, **kw: Any) -> webhooks.Answer:
    secret = webhooks.new_secret()
    return await webhooks.call(url, secret=secret, message_id="m", body={}, private=True, **kw)


async def test_redirects_long_answers_and_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sms_gateway() as inside:
        assert isinstance(inside, Gateway)
        moved = f"HTTP/1.1 302 Found\r\nlocation: {inside.url}\r\ncontent-length: 0\r\n\r\n".encode()
        async with speaking(moved) as url:
            answer = await call(url)
        assert (answer.status, answer.final, inside.got) == (302, True, [])
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n" + b"\x00<b>" + b"x" * 900_000
    async with speaking(long) as url:
        answer = await call(url)
    assert answer.taken and answer.text.startswith("<b>xx") and len(answer.text) <= webhooks.KEPT
    monkeypatch.setattr(webhooks, "WAIT", 0.2)
    async with speaking(b"", pause=5) as url:
        answer = await call(url)
    assert (answer.status, answer.final) == (0, False)
    for url in ("ftp://example.org", "https://a@example.org", "https://", "https://example.org/#x", "javascript:1"):
        assert (await call(url)).final
    assert not (await call("http://127.0.0.1:1/")).final


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "bücher.invalid", "xn--a.invalid", "ａ.invalid"])
async def test_names_that_cannot_be(host: str) -> None:
    answer = await call(f"http://{host}/")
    assert answer.status == 0 and answer.text


async def test_a_name_with_letters_of_its_own_is_called_as_the_net_spells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, asked = asyncio.get_running_loop(), []

    async def resolved(host: Any, port: Any, **kw: Any) -> Any:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    async with sms_gateway() as server:
        answer = await call(server.url.replace("127.0.0.1", "bücher.example"))
    assert answer.taken and server.got[0][0]["host"].startswith("xn--bcher-kva.example:")


async def test_another_answer_of_the_name_server_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, answers = asyncio.get_running_loop(), ["93.184.216.34", "127.0.0.1"]
    monkeypatch.setattr(webhooks, "WAIT", 0.5)

    async def resolved(host: Any, port: Any, **kw: Any) -> Any:
        return [(2, 1, 6, "", (answers.pop(0), port))]

    async with sms_gateway() as inside:
        url = inside.url.replace("127.0.0.1", "rebound.example")
        monkeypatch.setattr(loop, "getaddrinfo", resolved)
        secret = webhooks.new_secret()
        first = await webhooks.call(url, secret=secret, message_id="m", body={})
        assert (first.status, answers, inside.got) == (0, ["127.0.0.1"], [])
        again = await webhooks.call(url, secret=secret, message_id="m", body={})
        assert again.final and inside.got == []


async def test_headers_without_end_and_drops_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with speaking(b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"y" * 10_000_000) as url:
        assert (await call(url)).status == 0
    async with speaking(b"HTTP/1.1 200 OK\r\n" + b"x-many: y\r\n" * 900_000) as url:
        assert (await call(url)).status == 0
    monkeypatch.setattr(webhooks, "WAIT", 0.5)
    async with speaking(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ny", more=0.2) as url:
        assert (await call(url)).text == "it has not answered in time"


async def test_a_server_that_never_answers_holds_up_nothing_else(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WAIT", 0.5)
    resources = resources_of(database, tmp_path, private=True)
    async with speaking(b"", pause=60) as url:
        rule, _secret = await calling(url)
        async with unit() as session:
            project = await make.create_project(session)
            for _n in range(12):
                await make.create_customer(session, project=project)
        async with db.reads() as session:
            [job] = await session.scalars(select(Job.id).where(Job.name == "automation.changes"))
        await base.run_job(job, resources)
        async with db.reads() as session:
            [job] = await session.scalars(select(Job.id).where(Job.name == "automation.work"))
        await base.run_job(job, resources)
        async with db.reads() as session:
            calls = (await session.scalars(select(Job.id).where(Job.name == "automation.call"))).all()
        most = 0

        async def watched() -> None:
            nonlocal most
            while True:
                most = max(most, tasks.under_way())
                await asyncio.sleep(0.01)

        watch = asyncio.create_task(watched())
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(base.run_job(n, resources) for n in calls))
        assert 0 < most <= tasks.AT_ONCE < base_jobs() and asyncio.get_running_loop().time() - began < 2
        began = asyncio.get_running_loop().time()
        await work_off(resources, rounds=200)  # who did not answer is left in peace for a while, and then given up
        assert asyncio.get_running_loop().time() - began < 20
        watch.cancel()
    async with db.reads() as session:
        found = (await session.scalars(select(RuleRun).where(RuleRun.rule_id == rule.id))).all()
        assert {run.state for run in found} == {RunState.FAILED} and len(found) == 12


def base_jobs() -> int:
    from tasks import worker

    return worker.MAX_JOBS
