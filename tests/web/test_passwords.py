"""A forgotten password, of users and of staff: asked for, mailed, chosen with a link that works once."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app import db
from app.domain.sessions import links
from app.domain.sessions.throttle import PER_ACCOUNT
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.jobs import Job, JobState
from app.models.sessions import OneUse, OneUseKind
from app.models.users import User
from tasks import base
from tests.web.helpers import PASSWORD, People, Site, sign_in

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
NEW = "another long password"


async def run_jobs(site: Site) -> None:
    """What the workers do."""
    parts = base.Resources(
        site.settings, OutboxMailer(site.settings.outbox), DirectoryStorage(site.settings.data_dir / "attachments")
    )
    for _round in range(3):
        async with db.reads() as session:
            due = list(await session.scalars(select(Job.id).where(Job.state == JobState.DUE).order_by(Job.id)))
        for job_id in due:
            await base.run_job(job_id, parts)


def mails(site: Site) -> list[Any]:
    found = sorted(Path(site.settings.outbox).rglob("*.eml"), key=lambda p: p.stat().st_mtime_ns)
    return [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in found]


def text_of(mail: Any) -> str:
    return str(mail.get_body(("plain",)).get_content())


def path_in(mail: Any) -> str:
    found = re.search(r"https?://[^/\s]+(/(?:client/)?link/[^\s)>\]]+)", text_of(mail))
    assert found, text_of(mail)
    return found[1]


async def _asked(site: Site, client: httpx.AsyncClient, login: str, area: str = "/client") -> list[Any]:
    answer = await client.post(f"{area}/forgot", data={"login": login})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{area}/forgot?sent=1")
    await run_jobs(site)
    return mails(site)


@pytest.mark.parametrize(
    ("area", "login"), [("/client", "ada"), ("/client", "ADA@example.net"), ("", "grace@example.com")]
)
async def test_a_forgotten_password_is_chosen_anew(
    site: Site, people: People, browser: httpx.AsyncClient, ada: httpx.AsyncClient, grace: httpx.AsyncClient,
    area: str, login: str,
) -> None:  # fmt: skip
    [mail] = await _asked(site, browser, login, area)
    whose = "grace@example.com" if not area else "ada@example.net"
    assert mail["To"] == whose and "60" in text_of(mail)
    async with db.reads() as session:
        jobs = str((await session.execute(select(Job.name, Job.args))).all())
    path = path_in(mail)
    assert path.rpartition("/")[2] not in jobs  # the link lies in no job

    page = await browser.get(path)
    assert page.status_code == 200 and 'method="post"' in page.text
    for wrong in ({"password": "short", "again": "short"}, {"password": NEW, "again": "other"}, {}):
        assert (await browser.post(path, data=wrong)).status_code == 422
    done = await browser.post(path, data={"password": NEW, "again": NEW})
    assert (done.status_code, done.headers["location"]) == (303, f"{area}/login")
    assert "Your password is changed" in (await browser.get(f"{area}/login")).text

    open_page, at = (ada, "/client/") if area else (grace, "/admin/")
    assert (await open_page.get(at)).status_code == 303  # signed out elsewhere
    assert (await sign_in(browser, login, area=area)).status_code == 422
    assert (await sign_in(browser, login, NEW, area=area)).status_code == 303
    await run_jobs(site)
    told = mails(site)
    assert len(told) == 2 and "Your password was changed" in text_of(told[1]) and told[1]["To"] == whose

    again = await browser.post(path, data={"password": "x" * 20, "again": "x" * 20})
    assert again.status_code == 410 and f'href="{area}/forgot"' in again.text
    assert (await browser.get(path)).status_code == 410


async def test_nobody_learns_who_is_here(site: Site, people: People, browser: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        user = await session.get_one(User, people.stranger.id)
        user.enabled = False
    pages = []
    for login in ("ada", "nobody", "charles", "grace", "x@example.net"):
        await _asked(site, browser, login)
        pages.append((await browser.get("/client/forgot?sent=1")).text)
    assert len(set(pages)) == 1
    assert len(mails(site)) == 1  # to Ada: nobody else has an account that is open
    async with db.reads() as session:
        asked = (await session.scalars(select(Job.name).where(Job.name == "sessions.reset"))).all()
    assert len(asked) == 5  # the same work for all


async def test_asking_is_slowed_down(site: Site, people: People, browser: httpx.AsyncClient) -> None:
    for _n in range(PER_ACCOUNT):
        assert (await browser.post("/client/forgot", data={"login": "ada"})).status_code == 303
    answer = await browser.post("/client/forgot", data={"login": "ada"})
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
    assert (await sign_in(browser, "ada", area="/client")).status_code == 303  # signing in has a counter of its own


async def test_links_end(site: Site, people: People, browser: httpx.AsyncClient, ada: httpx.AsyncClient) -> None:
    """By time, by another new password, by being switched off, and for the other area."""
    first, second = [path_in((await _asked(site, browser, "ada"))[-1]) for _n in range(2)]
    staff = path_in((await _asked(site, browser, "grace", ""))[-1])
    data = {"password": NEW, "again": NEW}
    assert (await browser.post(staff.replace("/link/", "/client/link/"), data=data)).status_code == 410
    assert (await browser.post(first.replace("/client/link/", "/link/"), data=data)).status_code == 410
    answers = await asyncio.gather(*(browser.post(path, data=data) for path in (first, second, first, second)))
    assert sorted(a.status_code for a in answers) == [303, 410, 410, 410]

    third = path_in([m for m in await _asked(site, browser, "ada") if m["To"] == "ada@example.net"][-1])
    assert (await sign_in(ada, "ada", NEW, area="/client")).status_code == 303
    form = {"old": NEW, "new": "the third password", "again": "the third password"}
    assert (await ada.post("/client/profile/password", data=form)).status_code == 303
    assert (await browser.get(third)).status_code == 410

    async with db.unit() as session:
        fourth = await links.make(session, kind=OneUseKind.RESET, user_id=people.user.id)
        fifth = await links.make(session, kind=OneUseKind.RESET, user_id=people.stranger.id)
        await session.execute(update(OneUse).where(OneUse.user_id == people.user.id).values(
            expires_at=db.utcnow() - timedelta(seconds=1)
        ))  # fmt: skip
        (await session.get_one(User, people.stranger.id)).enabled = False
    assert (await browser.post(fourth, data=data)).status_code == 410
    assert (await browser.post(fifth, data=data)).status_code == 410
    assert PASSWORD != NEW
