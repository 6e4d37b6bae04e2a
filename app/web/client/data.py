"""My data: a copy of all of it, asking for its deletion, what was consented to, and who of the staff looked in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app import db
from app.domain import privacy
from app.domain.sessions import SessionView
from app.errors import Invalid
from app.flash import flash
from app.i18n import gettext, language, show_bytes, show_date, show_moment
from app.models.consent import Subscription
from app.models.privacy import DataRequest, DataState
from app.models.users import User
from app.web import render
from app.web.auth import see_other
from app.web.branding import brand_of
from app.web.client import door, queries
from app.web.client.access import may, why_not
from app.web.client.area import HTML, Asked, me, respond
from app.web.files import stored
from app.web.forms import DeletionForm, number, posted

URL = "/client/data"
SHOWN = 50
POLL = 1500
"""Milliseconds between two looks at an export that is being made."""


# ---- what is shown ---------------------------------------------------------------------------------------------------


def _export(request: DataRequest, *, may_load: bool) -> dict[str, Any]:
    job, state = request.job, request.state
    if state is DataState.READY and request.expires_at is not None and request.expires_at <= db.utcnow():
        state = DataState.EXPIRED
    tones = {DataState.READY: "ok", DataState.FAILED: "bad", DataState.WAITING: "live"}
    label = gettext("Being made") if state is DataState.WAITING else str(state.label)
    done, total = (job.done, job.total) if job is not None else (0, 1)
    return {
        "label": gettext("Copy of %(moment)s") % {"moment": show_moment(request.created_at, "short")},
        "kind": tones.get(state, ""), "state": label, "going": state is DataState.WAITING,
        "done": done, "total": max(total, 1), "by": str(request.user) if request.user else "",
        "size": show_bytes(request.size) if request.size else "",
        "until": show_date(request.expires_at) if state is DataState.READY and request.expires_at else "",
        "url": f"{URL}/exports/{request.id}/file" if state is DataState.READY and may_load else None,
    }  # fmt: skip


async def _exports(session: AsyncSession, view: SessionView, customer_id: int) -> dict[str, Any]:
    rows = await privacy.exports(session, customer_id)
    shown = [_export(row, may_load=may(view, "client.data.file")) for row in rows]
    going = any(row["going"] for row in shown)
    return {
        "rows": shown, "going": going, "closed": why_not(view, "client.data.export"), "url": f"{URL}/export",
        "poll_url": URL if going else None, "every": POLL, "days": privacy.KEPT_DAYS,
        "announce": shown[0]["state"] if shown else "",
    }  # fmt: skip


async def _consents(session: AsyncSession, customer_id: int) -> Sequence[Subscription]:
    rows = await session.scalars(
        select(Subscription)
        .where(Subscription.customer_id == customer_id)
        .options(
            joinedload(Subscription.category), joinedload(Subscription.user), joinedload(Subscription.staff),
            joinedload(Subscription.by_user),
        )
        .order_by(Subscription.since.desc(), Subscription.id.desc())
        .limit(SHOWN)
    )  # fmt: skip
    return rows.all()


def _consent(row: Subscription) -> list[str]:
    by: User | str = row.by_user or (gettext("Our support") if row.staff_id else "")
    how = f"{row.how.label}, {by}" if by else str(row.how.label)
    return [
        row.category.name_in(language()), str(row.channel.label), str(row.user or gettext("The account's address")),
        gettext("Agreed") if row.wanted else gettext("Refused"), show_moment(row.since, "short"), how,
    ]  # fmt: skip


def _visit(line: queries.VisitLine) -> list[str]:
    over = show_moment(line.ended_at, "short") if line.ended_at <= db.utcnow() else gettext("now")
    did = gettext("Something was changed") if line.changed else gettext("Only looked")
    return [line.staff or gettext("Our support"), show_moment(line.created_at, "short"), over, line.reason, did]


async def _page(request: Asked, session: AsyncSession, form: DeletionForm, status: int = 200) -> Response[Any]:
    view, customer_id = me(request)
    brand = brand_of(request.scope)
    asked = await privacy.deletion(session, customer_id)
    pending = None
    if asked is not None:
        pending = {
            "since": show_date(asked.created_at), "reason": asked.reason, "by": str(asked.user) if asked.user else "",
            "ticket_url": f"/client/tickets/{asked.ticket_id}", "url": f"{URL}/deletion/withdraw",
        }  # fmt: skip
    return await respond(
        request, session, "client/data.html", status,
        exports=await _exports(session, view, customer_id),
        deletion={"pending": pending, "form": form, "url": f"{URL}/deletion",
                  "closed": why_not(view, "client.data.delete")},
        consents=[_consent(row) for row in await _consents(session, customer_id)],
        visits=[_visit(row) for row in await queries.visits(session, customer_id, limit=SHOWN)],
        visits_shown=brand is not None and brand.visits_shown,
        door_url=door.URL if door.asked_for(request) and may(view, "client.door") else None,
        choose_url="/client/profile/subscriptions",
    )  # fmt: skip


@get(URL, name="client.data")
async def data(request: Asked) -> Response[Any]:
    """The page; for the script that watches an export, only the part that changes."""
    view, customer_id = me(request)
    async with db.reads() as session:
        if request.headers.get("x-fragment"):
            part = await _exports(session, view, customer_id)
            return Response(render.page("client/data_exports.html", {}, exports=part), media_type=HTML)
        return await _page(request, session, DeletionForm())


# ---- the copy --------------------------------------------------------------------------------------------------------


@post(f"{URL}/export", name="client.data.export", status_code=200)
async def export(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    async with db.unit() as session:
        await privacy.ask_export(session, customer_id=customer_id, user_id=view.user_id)
    flash(request.scope, "ok", gettext("The copy is being made. You get an e-mail when it is ready."))
    return see_other(URL)


@get(f"{URL}/exports/{{key:str}}/file", name="client.data.file")
async def file(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        made = await privacy.file_of(session, customer_id=customer_id, request_id=number(key))
    name = f"data-{customer_id}-{made.created_at:%Y-%m-%d}.zip"
    return await stored(request.app.state.storage, made.key, name=name, size=made.size)


# ---- deletion --------------------------------------------------------------------------------------------------------


@post(f"{URL}/deletion", name="client.data.delete", status_code=200)
async def delete(request: Asked) -> Response[Any]:
    """Tells staff. Nothing is deleted by it."""
    view, customer_id = me(request)
    form = DeletionForm(await posted(request))
    if form.validate():
        try:
            async with db.unit() as session:
                await privacy.ask_deletion(
                    session, customer_id=customer_id, user_id=view.user_id, reason=form.reason.data or ""
                )
        except Invalid as error:
            form.place(error, "reason")
        else:
            flash(request.scope, "ok", gettext("Your request is sent. Nothing is deleted before we have answered."))
            return see_other(URL)
    async with db.reads() as session:
        return await _page(request, session, form, 422)


@post(f"{URL}/deletion/withdraw", name="client.data.withdraw", status_code=200)
async def withdraw(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    async with db.unit() as session:
        await privacy.withdraw(session, customer_id=customer_id, user_id=view.user_id)
    flash(request.scope, "ok", gettext("The request is withdrawn."))
    return see_other(URL)


HANDLERS = [data, export, file, delete, withdraw]
