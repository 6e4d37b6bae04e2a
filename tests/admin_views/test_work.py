"""Long work on its card: imports from the upload to the start, jobs and their retry, the stop button."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.consent import Subscription
from app.models.customers import Customer, CustomerKind, Membership
from app.models.imports import ImportState
from app.models.jobs import Job, JobState
from app.models.staff import Staff
from app.settings import Settings
from tasks.base import Resources
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.domain.test_import_runs import ROWS, TEXT, how_many, row, run_jobs


@pytest.fixture
def resources(settings: Settings) -> Resources:
    """What a worker of this panel has."""
    storage = DirectoryStorage(settings.data_dir / "attachments")
    return Resources(settings, OutboxMailer(settings.outbox), storage)


async def upload(desk: httpx.AsyncClient, project_id: int, text: str = TEXT) -> httpx.Response:
    return await desk.post(
        "/admin/import_run/action/upload",
        data={"project": str(project_id), "source": "old panel"},
        files={"files": ("people.csv", text.encode(), "text/csv")},
    )


async def test_a_file_is_uploaded_checked_started_and_undone(desk: httpx.AsyncClient, resources: Resources) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Nordhost")
        group = await factories.create_group(session, name="Regulars")
    form = (await desk.get("/admin/import_run/action/upload?all=1")).text
    assert 'type="file"' in form and "Nordhost" in form, "the only project is chosen"
    text = TEXT.replace("country", "Land,Art,Kundengruppe").replace(",DE\n", ",DE,Firma,\n")
    answer = await upload(desk, project.id, text + "98,Old,old@e.org,,Verein,Stammkunden\n99,Nowhere,n@e.org,XX,,\n")
    assert answer.status_code == 303, answer.text
    card = answer.headers["location"]
    import_id = int(card.rpartition("/")[2])
    assert "Being read" in (await desk.get(card)).text
    await run_jobs(resources)
    assert "Look at the columns" in (await desk.get(card)).text
    url = f"/admin/import_run/action/columns?pks={import_id}"
    page = (await desk.get(url)).text
    assert "Customer 0</bdi>, <bdi>Customer 1" in page and '<option selected value="contact_person">' in page
    chosen = {f"c{n}": field for n, field in enumerate(("ref", "contact_person", "email", "country", "kind", "group"))}
    nobody = await desk.post(url, data={"pks": str(import_id), **dict.fromkeys(chosen, "-")})
    assert nobody.status_code == 422 and "Say which column" in nobody.text
    values = await desk.post(url, data={"pks": str(import_id), **chosen, "language": "es"})
    assert values.status_code == 303 and values.headers["location"].endswith(f"action/values?pks={import_id}")
    page = (await desk.get(values.headers["location"])).text
    assert all(said in page for said in ("Verein", "Stammkunden", "XX", "Regulars", "Leave such rows out"))
    meant = {"v0": "", "v1": "company", "v2": str(group.id)}
    answer = await desk.post(values.headers["location"], data={"pks": str(import_id), **meant})
    assert answer.status_code == 303, answer.text
    await run_jobs(resources)
    html = (await desk.get(card)).text
    assert "Contact person" in html and "contact_person" not in html
    assert f"Import {ROWS + 1} customers" in html and "no country XX" in html and "Nothing is changed yet" in html
    left_out = (await desk.post("/admin/import_run/action/left_out", data={"pks": str(import_id)})).text
    assert left_out.splitlines()[1] == "99,Nowhere,n@e.org,XX,,,28,Land: There is no country XX."
    assert await how_many() == 0
    started = await desk.post("/admin/import_run/action/start", data={"pks": str(import_id)})
    assert started.status_code == 303
    await run_jobs(resources)
    done = (await desk.get(f"{card}/part/progress")).text
    assert ">Done<" in done and "data-poll" not in done and await how_many() == ROWS + 1
    async with db.reads() as session:
        old = (await session.scalars(select(Customer).where(Customer.name == "Old"))).one()
        assert (old.kind, old.language) == (CustomerKind.COMPANY, "es")
        assert (await session.scalars(select(Membership.customer_id))).all() == [old.id]
    again = int((await upload(desk, project.id, text)).headers["location"].rpartition("/")[2])
    await run_jobs(resources)
    saved = await row(again)
    assert (
        saved.looked["like"] == import_id
        and saved.plan["values"]["kind"]
        and saved.plan["defaults"]["language"] == "es"
    )
    assert "as in import" in (await desk.get(f"/admin/import_run/action/columns?pks={again}")).text
    assert "Undo the import" in (await desk.get(card)).text
    assert (await desk.post("/admin/import_run/action/undo", data={"pks": str(import_id)})).status_code == 303
    await run_jobs(resources)
    assert await how_many() == 0 and "Undone" in (await desk.get(card)).text


async def test_rows_of_another_screen_are_taken_and_taken_back_alike(
    desk: httpx.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    files = {"files": ("a.csv", b"Name,Colour\nFriendly,3\nBad,red\n", "text/csv")}
    assert "/admin/attitude/action/import_rows" in (await desk.get("/admin/attitude/list")).text
    answer = await desk.post("/admin/attitude/action/import_rows", files=files)
    assert answer.status_code == 303, answer.text
    card = answer.headers["location"]
    pks = {"pks": card.rpartition("/")[2]}
    await run_jobs(resources)
    html = (await desk.get(card)).text
    assert "Import 1 row<" in html and "Attitudes" in html and "This is not a number" in html
    assert "action/columns" not in html and "Project" not in html.partition("<main")[2]
    assert "Friendly" not in (await desk.get("/admin/attitude/list")).text
    assert (await desk.post("/admin/import_run/action/start", data=pks)).status_code == 303
    await run_jobs(resources)
    assert "Friendly" in (await desk.get("/admin/attitude/list")).text
    html = (await desk.get(card)).text
    assert ">Done<" in html and "Undo the import" in html
    assert "Attitudes" in (await desk.get("/admin/import_run/list")).text
    assert (await desk.post("/admin/import_run/action/undo", data=pks)).status_code == 303
    await run_jobs(resources)
    assert "Friendly" not in (await desk.get("/admin/attitude/list")).text
    assert "Undone" in (await desk.get(card)).text
    some = await sign_in(await create_staff([("attitude", "list"), ("attitude", "create")], username="adder"))
    assert "import_rows" not in (await some.get("/admin/attitude/list")).text
    assert (await some.get("/admin/attitude/action/import_rows")).status_code == 403


CONSENT = "address,category,subscribed,channel\nada@example.org,News,no,\nnobody@example.org,News,no,\n"


async def test_consent_is_checked_and_taken_from_a_file(
    desk: httpx.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    async with db.unit() as session:
        await factories.create_category(session, name="News", subscribable=True, opt_in=False)
        ada = await factories.create_customer(session, email="ada@example.org")

    async def take(by: httpx.AsyncClient, **data: str) -> str:
        answer = await by.post(
            "/admin/import_run/action/consent", data=data, files={"files": ("c.csv", CONSENT.encode(), "text/csv")}
        )
        assert answer.status_code == 303, answer.text
        await run_jobs(resources)
        return str(answer.headers["location"])

    async def refused() -> int:
        async with db.reads() as session:
            held = Subscription.ended_at.is_(None), Subscription.wanted.is_(False)
            found = list(await session.scalars(select(Subscription.customer_id).where(*held)))
            assert set(found) <= {ada.id}
            return len(found)

    card = (await desk.get(await take(desk, dry_run="on"))).text
    assert "Only checked, nothing is changed" in card and "Nobody is known under this address." in card
    assert await refused() == 0
    async with db.unit() as session:
        other = await factories.create_project(session)
    await take(await sign_in(await create_staff([("*", "*")], projects=(other,), username="far")))
    assert await refused() == 0, "whoever is limited to other projects finds nobody"
    card = (await desk.get(await take(desk))).text
    assert await refused() == 1 and "Left out" in card


async def test_an_upload_that_cannot_be_taken_says_so_at_its_field(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
    no_file = await desk.post("/admin/import_run/action/upload", data={"project": str(project.id), "source": "x"})
    assert no_file.status_code == 422 and "Choose a file." in no_file.text
    empty = await upload(desk, project.id, "")
    assert empty.status_code == 422 and "is empty" in empty.text


async def test_an_import_is_stopped_by_post_only(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        run = await factories.create_import(session, project_id=project.id, state="running", total=10, done=5)
    asked = await desk.get(f"/admin/import_run/action/stop?pks={run.id}")
    assert "cannot go on" in asked.text and (await row(run.id)).state is ImportState.RUNNING
    stopped = await desk.post("/admin/import_run/action/stop", data={"pks": str(run.id)})
    assert stopped.status_code == 303 and (await row(run.id)).state is ImportState.STOPPED
    card = (await desk.get(f"/admin/import_run/details/{run.id}")).text
    assert "Stopped" in card and "data-poll" not in card and "data-sure-method" not in card


async def test_a_job_shows_how_far_it_is_and_a_failed_one_is_tried_again(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        since = utcnow() - timedelta(seconds=10)
        job = await factories.create_job(
            session, name="customers.welcome", state="running", done=50, total=100, started_at=since
        )
        failed = await factories.create_job(session, state="failed", error="it broke", attempt=10)
    html = (await desk.get(f"/admin/job/details/{job.id}")).text
    assert "Welcome message" in html and "of 100, 50 %" in html and "5 a second" in html
    assert 'data-announce="Running, 50 %"' in html
    assert "it broke" in (await desk.get(f"/admin/job/details/{failed.id}")).text
    answer = await desk.post("/admin/job/action/retry", data={"pks": str(failed.id)})
    assert answer.status_code == 303
    async with db.reads() as session:
        found = await session.get_one(Job, failed.id)
    assert (found.state, found.error) == (JobState.DUE, "")


async def test_who_may_only_look_gets_no_button(owner: Staff, sign_in: SignIn) -> None:
    reader = await create_staff([("import_run", "list"), ("import_run", "details")], username="reader")
    async with db.unit() as session:
        project = await factories.create_project(session)
        going = await factories.create_import(session, project_id=project.id, state="checking", total=10, done=5)
        checked = await factories.create_import(session, project_id=project.id, state="checked", total=10, created=9)
    desk = await sign_in(reader)
    html = (await desk.get(f"/admin/import_run/details/{going.id}")).text
    assert 'data-announce="Being checked, 50 %"' in html and "/action/" not in html
    assert "/action/" not in (await desk.get(f"/admin/import_run/details/{checked.id}")).text
    shown = (await desk.get("/admin/import_run/list")).text
    assert "/action/" not in shown.replace("/action/pin_widget", ""), "but for what is one's own"
