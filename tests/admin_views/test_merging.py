"""Merging customers in the panel: the pages, what they say, and the way back."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain.customers import merge_work, merging
from app.models.audit import Audit
from app.models.customers import Customer
from app.models.jobs import Job
from app.models.messaging import Delivery
from app.models.projects import Project
from app.settings import Settings
from tasks import base, customers
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

assert customers


@pytest.fixture
async def two(database: str) -> tuple[Customer, Customer]:
    async with db.unit() as session:
        kept = await factories.create_customer(session, name="Kept Ltd", email="a@example.org", phone="")
        gone = await factories.create_customer(session, name="Gone <b>", email="a@example.org", phone="+44123456")
        await factories.create_service(session, customer=gone)
        return kept, gone


async def test_from_the_card_to_the_merge_and_back(desk: httpx.AsyncClient, two: tuple[Customer, Customer]) -> None:
    kept, gone = two
    card = (await desk.get(f"/admin/customer/details/{kept.id}")).text
    assert "Perhaps the same customer" in card and "same e-mail" in card
    ask = f"/admin/customer/action/merge?pks={kept.id}"
    assert f"{ask}&amp;other={gone.id}" in card
    assert "Merge with" in (await desk.get(ask)).text
    first = await desk.post("/admin/customer/action/merge", data={"pks": str(kept.id), "other": str(gone.id)})
    page = await desk.get(f"{ask}&other={gone.id}")
    for shown in (first.text, page.text):
        assert "Gone &lt;b&gt;" in shown and 'name="phone" value="gone" checked' in shown
        assert 'name="name" value="kept" checked' in shown and "Services" in shown and "never change" in shown
    swapped = await desk.get(f"/admin/customer/action/merge?pks={kept.id}&kept={gone.id}&other={kept.id}")
    assert re.search(r'name="name" value="kept" checked><span><bdi>Gone', swapped.text)
    data = {"pks": str(kept.id), "kept": str(kept.id), "other": str(gone.id), "phone": "gone", "name": "kept"}
    answer = await desk.post("/admin/customer/action/merge", data=data)
    assert answer.status_code == 303 and answer.headers["location"] == f"/admin/customer/details/{kept.id}"
    old = await desk.get(f"/admin/customer/details/{gone.id}")
    assert old.status_code == 303 and old.headers["location"] == f"/admin/customer/details/{kept.id}"
    card = (await desk.get(f"/admin/customer/details/{kept.id}")).text
    assert f"merged Gone &lt;b&gt; (#{gone.id}) into this customer" in card
    assert "Merged into this one" in card and "+44123456" in card and "Perhaps the same" not in card
    assert f"merged into #{kept.id}" in (await desk.get("/admin/customer/list")).text
    assert f'"{gone.id}"' not in (await desk.get("/admin/customer/lookup?term=Gone")).text
    undo = f"/admin/customer/action/unmerge?pks={gone.id}"
    assert undo in card and (await desk.get(undo)).status_code == 200
    answer = await desk.post("/admin/customer/action/unmerge", data={"pks": str(gone.id)})
    assert answer.status_code == 303
    assert (await desk.get(f"/admin/customer/details/{gone.id}")).status_code == 200
    async with db.reads() as session:
        again = await session.get(Customer, kept.id)
        assert again is not None and again.phone == ""


async def test_what_stands_in_the_way_is_said(desk: httpx.AsyncClient, two: tuple[Customer, Customer]) -> None:
    kept, gone = two
    async with db.unit() as session:
        far = await factories.create_customer(session, project=await factories.create_project(session))
    page = await desk.get(f"/admin/customer/action/merge?pks={kept.id}&other={far.id}")
    assert page.status_code == 200 and "different projects" in page.text
    data = {"pks": str(kept.id), "kept": str(kept.id), "other": str(far.id)}
    answer = await desk.post("/admin/customer/action/merge", data=data)
    assert answer.status_code == 422 and "different projects" in answer.text
    assert (await desk.get(f"/admin/customer/action/merge?pks={kept.id},{gone.id},{far.id}")).status_code == 422
    answer = await desk.post("/admin/customer/action/unmerge", data={"pks": str(gone.id)})
    assert answer.status_code == 422 and "Nothing is known" in answer.text


async def test_it_has_a_grant_of_its_own(sign_in: SignIn, two: tuple[Customer, Customer]) -> None:
    kept, gone = two
    looks = [("customer", "list"), ("customer", "details"), ("customer", "edit")]
    browser = await sign_in(await create_staff(looks))
    card = (await browser.get(f"/admin/customer/details/{kept.id}")).text
    assert "Perhaps the same customer" in card and "/action/merge" not in card
    for slug in ("merge", "unmerge"):
        assert (await browser.get(f"/admin/customer/action/{slug}?pks={kept.id}&other={gone.id}")).status_code == 403
    async with db.unit() as session:
        far = await factories.create_customer(session, project=await factories.create_project(session), name="Far")
        mine = await session.get(type(far), kept.id)
        assert mine is not None
        project = await session.get(Project, mine.project_id)
        assert project is not None
    limited = await sign_in(await create_staff([("*", "*")], projects=(project,)))
    page = await limited.get(f"/admin/customer/action/merge?pks={kept.id}&other={far.id}")
    assert page.status_code == 404 and "Far" not in page.text


async def test_many_messages_move_in_the_background(
    desk: httpx.AsyncClient, two: tuple[Customer, Customer], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = two
    monkeypatch.setattr("app.domain.customers.merge_work.LARGE", 3)
    monkeypatch.setattr(merging, "PART", 2)
    async with db.unit() as session:
        for _n in range(5):
            campaign = await factories.create_campaign(session)
            await factories.create_delivery(session, campaign=campaign, customer=gone)

    async def run(slug: str, **data: str) -> None:
        answer = await desk.post(f"/admin/customer/action/{slug}", data=data)
        assert answer.status_code == 303 and "/admin/job/details/" in answer.headers["location"]
        job_id = int(answer.headers["location"].rpartition("/")[2])
        resources = base.Resources(settings, None, None)  # type: ignore[arg-type]
        assert await base.run_job(job_id, resources)
        async with db.reads() as session:
            job = await session.get(Job, job_id)
            assert job is not None and (job.state, job.done, job.total) == ("done", 5, 5), job.error

    async def owners() -> set[int]:
        async with db.reads() as session:
            return set(await session.scalars(select(Delivery.customer_id)))

    await run("merge", pks=str(kept.id), kept=str(kept.id), other=str(gone.id))
    assert await owners() == {kept.id}
    await run("unmerge", pks=str(gone.id))
    assert await owners() == {gone.id}


@pytest.mark.parametrize("when", ["before", "between", "killed while going back", "too late"])
async def test_a_merge_in_the_background_is_stopped_and_taken_back(
    desk: httpx.AsyncClient, two: tuple[Customer, Customer], settings: Settings, monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:  # fmt: skip
    kept, gone = two
    monkeypatch.setattr("app.domain.customers.merge_work.LARGE", 3)
    monkeypatch.setattr(merging, "PART", 2)
    async with db.unit() as session:
        for _n in range(5):
            await factories.create_delivery(session, campaign=await factories.create_campaign(session), customer=gone)
    data = {"pks": str(kept.id), "kept": str(kept.id), "other": str(gone.id)}
    card = (await desk.post("/admin/customer/action/merge", data=data)).headers["location"]
    job_id = int(card.rpartition("/")[2])

    async def stop() -> int:
        return (await desk.post("/admin/job/action/stop_merge", data={"pks": str(job_id)})).status_code

    class Killed(BaseException):
        pass

    async def work(*then: Callable[[], Awaitable[Any]]) -> None:
        """As a worker does it; `then`: what happens after each step."""
        after = iter(then)

        async def told(done: int, total: int) -> None:
            if (happens := next(after, None)) is not None:
                await happens()

        async with db.reads() as session:
            args = (await session.get_one(Job, job_id)).args
        known = {name: args.get(name, 0) for name in ("kept_id", "gone_id", "take", "audit_id")}
        await merge_work.work_off_merge(job_id=job_id, told=told, **known)

    async def killed() -> None:
        raise Killed

    async def undo() -> str:
        return (await desk.get(f"/admin/customer/action/unmerge?pks={gone.id}")).text

    async with db.unit() as session:
        other = await factories.create_job(session)
    assert (await desk.post("/admin/job/action/stop_merge", data={"pks": str(other.id)})).status_code == 422
    assert "action/stop_merge" in (await desk.get(card)).text
    if when == "before":
        assert await stop() == 303
        await work()
    elif when == "between":
        with pytest.raises(Killed):
            await work(killed)
        assert "This merge still goes on" in await undo()
        await work(stop)
    elif when == "killed while going back":
        with pytest.raises(Killed):
            await work(stop, killed)
        await work()
    else:
        await work()
        assert await stop() == 422 and "action/stop_merge" not in (await desk.get(card)).text
    async with db.reads() as session:
        owners = set(await session.scalars(select(Delivery.customer_id)))
        into = await session.scalar(select(Customer.merged_into_id).where(Customer.id == gone.id))
        told = set(await session.scalars(select(Audit.action).where(Audit.action.endswith("merge"))))
    if when == "too late":
        assert owners == {kept.id} and into == kept.id
        return
    assert owners == {gone.id} and into is None
    assert told == (set() if when == "before" else {"merge", "unmerge"})
    assert "Both customers are what they were before" in (await desk.get(card)).text
    again = await desk.post("/admin/customer/action/merge", data=data)
    assert again.headers["location"] not in (card, f"/admin/customer/details/{kept.id}")
