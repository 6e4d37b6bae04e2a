"""My data: the copy, the request for deletion, consent and visits; what staff inside may not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain import privacy
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.jobs import Job
from app.models.privacy import DataRequest
from app.models.tickets import Ticket
from tasks import base
from tasks import privacy as tasks
from tests import factories
from tests.web.helpers import People, Site
from tests.web.test_visits import enter

assert tasks
pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


async def _run(site: Site, tmp_path: Path) -> None:
    resources = base.Resources(
        site.settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(site.settings.data_dir / "attachments")
    )
    async with db.reads() as session:
        ids = (await session.scalars(select(Job.id).where(Job.name == "privacy.export"))).all()
    for job_id in ids:
        await base.run_job(job_id, resources)


async def test_a_copy_is_asked_for_watched_and_downloaded(
    ada: httpx.AsyncClient, people: People, site: Site, redis: str, tmp_path: Path
) -> None:
    for _click in range(2):
        assert (await ada.post("/client/data/export")).headers["location"] == "/client/data"
    page = (await ada.get("/client/data")).text
    assert 'data-poll="/client/data"' in page and page.count("Being made") == 1 + 1  # the badge, and what is read out
    part = (await ada.get("/client/data", headers={"x-fragment": "1"})).text
    assert part.startswith("<section") and "<progress" in part
    await _run(site, tmp_path)
    page = (await ada.get("/client/data")).text
    assert "data-poll=" not in page.partition("</section>")[0]
    async with db.reads() as session:
        made = (await session.scalars(select(DataRequest))).one()
    answer = await ada.get(f"/client/data/exports/{made.id}/file")
    assert f"/client/data/exports/{made.id}/file" in page
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="data-{people.customer.id}-')
    assert "profile.json" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    async with db.unit() as session:
        (await session.get_one(DataRequest, made.id)).expires_at = db.utcnow()
    assert (await ada.get(f"/client/data/exports/{made.id}/file")).status_code == 404
    assert "Download" not in (await ada.get("/client/data")).text


async def test_deletion_is_asked_for_shown_and_withdrawn(ada: httpx.AsyncClient, people: People) -> None:
    long = await ada.post("/client/data/deletion", data={"reason": "x" * 2001})
    assert long.status_code == 422 and "x" * 2001 in long.text
    for _click in range(2):
        assert (await ada.post("/client/data/deletion", data={"reason": "We <move>."})).status_code == 303
    async with db.reads() as session:
        ticket = (await session.scalars(select(Ticket))).one()
    page = (await ada.get("/client/data")).text
    assert "Deletion is asked for." in page and "We &lt;move&gt;." in page and f"/client/tickets/{ticket.id}" in page
    assert (await ada.post("/client/data/deletion/withdraw")).status_code == 303
    assert "Deletion is asked for." not in (await ada.get("/client/data")).text
    assert (await ada.post("/client/data/deletion/withdraw")).status_code == 409


async def test_staff_inside_see_the_page_but_take_nothing_with_them(
    site: Site, grace: httpx.AsyncClient, ada: httpx.AsyncClient, people: People
) -> None:
    async with db.unit() as session:
        made = await factories.create_data_request(session, customer=people.customer)
        await privacy.ask_deletion(session, customer_id=people.customer.id, user_id=people.user.id)
    assert f"/client/data/exports/{made.id}/file" in (await ada.get("/client/data")).text
    await enter(grace, people, may_act=True)
    page = await grace.get("/client/data")
    assert page.status_code == 200 and "/file" not in page.text and "deletion/withdraw" not in page.text
    assert (await grace.get(f"/client/data/exports/{made.id}/file")).status_code == 403
    for path in ("export", "deletion", "deletion/withdraw"):
        assert (await grace.post(f"/client/data/{path}")).status_code == 403, path
    page = (await ada.get("/client/data")).text
    assert "Grace Hopper" in page and "Ticket 4711" in page


async def test_consent_has_its_history(ada: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        category = await factories.create_category(session, name="News")
        await factories.create_subscription(
            session, customer=people.customer, category=category, wanted=False, ended_at=db.utcnow()
        )
        await factories.create_subscription(session, customer=people.customer, category=category)
        other = await factories.create_category(session, name="Other things")
        await factories.create_subscription(session, customer=people.other, category=other)
    page = (await ada.get("/client/data")).text
    assert page.count("<bdi>News</bdi>") == 2 and "Agreed" in page and "Refused" in page
    assert "Other things" not in page
