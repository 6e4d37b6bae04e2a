"""Which messages a customer gets: their choice per category and channel, and what was chosen before.

Users who receive messages choose for themselves; the account's own address is for those who may change the profile.
"""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from wtforms import SelectMultipleField

from app import db
from app.domain.messaging import consent
from app.domain.messaging.consent import Chosen, Recipient
from app.domain.sessions import SessionView
from app.flash import flash
from app.i18n import gettext, language, show_date
from app.models.consent import How, Subscription
from app.models.customers import Customer
from app.models.messaging import Channel
from app.models.users import Right
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.forms import AppForm, choices, posted

URL = "/client/profile/subscriptions"
MOST = 50
"""Lines of the history."""


async def _people(session: AsyncSession, view: SessionView, customer: Customer) -> list[Recipient]:
    """The account's own address, and the person who is signed in if they receive besides it."""
    found = await consent.recipients(session, customer)
    return [r for r in found if r.user_id is None or r.user_id == view.user_id]


def _chooses(view: SessionView, person: Recipient) -> bool:
    return person.user_id is not None or view.is_visit or Right.PROFILE in view.rights


def _field(user_id: int | None, category_id: int) -> str:
    return f"c{user_id or 0}_{category_id}"


def said(line: Chosen) -> str:
    """When and how somebody has chosen; empty when nobody has."""
    if line.since is None or line.how is None:
        return ""
    return gettext("%(channel)s: since %(date)s (%(how)s)") % {
        "channel": line.channel.label, "date": show_date(line.since), "how": line.how.label,
    }  # fmt: skip


async def _form(
    session: AsyncSession, people: list[Recipient], customer_id: int, data: Any = None
) -> tuple[AppForm, list[dict[str, Any]]]:
    """The form, and its groups: one for each recipient."""
    fields: dict[str, Any] = {}
    values: dict[str, list[str]] = {}
    groups = []
    for person in people:
        names: list[str] = []
        for line in await consent.chosen(session, customer_id=customer_id, user_id=person.user_id):
            name = _field(person.user_id, line.category.id)
            if name not in fields:
                names.append(name)
                values[name] = []
                fields[name] = {"label": line.category.name_in(language()), "said": []}
            if line.wanted:
                values[name].append(line.channel.value)
            fields[name]["said"].append(said(line))
        groups.append({"label": _to(person), "help": None, "fields": names, "more": False})
    channels = choices([(c.value, c.label) for c in Channel])
    made = {
        name: SelectMultipleField(f["label"], choices=channels, description=" · ".join(filter(None, f["said"])))
        for name, f in fields.items()
    }
    kind = type("SubscriptionsForm", (AppForm,), made)
    return kind(data, data=values), groups


def _to(person: Recipient) -> str:
    return gettext("To %(address)s") % {"address": person.address or gettext("your account")}


async def _fixed(session: AsyncSession, customer_id: int, person: Recipient) -> dict[str, Any]:
    """What an address gets for which somebody else chooses."""
    got: dict[str, list[str]] = {}
    for line in await consent.chosen(session, customer_id=customer_id, user_id=person.user_id):
        channels = got.setdefault(line.category.name_in(language()), [])
        if line.wanted:
            channels.append(str(line.channel.label))
    return {
        "label": _to(person),
        "items": [{"label": name, "value": ", ".join(c) or gettext("nothing")} for name, c in got.items()],
    }


async def _history(session: AsyncSession, customer_id: int, people: list[Recipient]) -> list[dict[str, Any]]:
    """What was chosen for these addresses, the newest first."""
    rows = await session.scalars(
        select(Subscription)
        .where(
            Subscription.customer_id == customer_id,
            or_(Subscription.user_id.is_(None), Subscription.user_id.in_([p.user_id for p in people if p.user_id])),
        )
        .options(joinedload(Subscription.category), joinedload(Subscription.by_user))
        .order_by(Subscription.since.desc(), Subscription.id.desc())
        .limit(MOST)
    )
    to = {person.user_id: person.address or gettext("your account") for person in people}
    return [
        {
            "when": row.since, "until": row.ended_at, "category": row.category.name_in(language()),
            "channel": row.channel.label, "wanted": row.wanted, "how": row.how.label, "to": to.get(row.user_id, ""),
            "by": str(row.by_user) if row.by_user else "",
        }
        for row in rows
    ]  # fmt: skip


async def _page(
    request: Asked, session: AsyncSession, everybody: list[Recipient], form: AppForm, groups: Any, status: int = 200
) -> Response[Any]:
    view, customer_id = me(request)
    return await respond(
        request, session, "client/subscriptions.html", status, form=form if any(form) else None, groups=groups,
        read_only=why_not(view, "client.subscriptions.save"),
        fixed=[await _fixed(session, customer_id, p) for p in everybody if not _chooses(view, p)],
        history=await _history(session, customer_id, everybody),
    )  # fmt: skip


@get(URL, name="client.subscriptions")
async def subscriptions(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        everybody = await _people(session, view, await queries.customer(session, customer_id))
        people = [p for p in everybody if _chooses(view, p)]
        form, groups = await _form(session, people, customer_id)
        return await _page(request, session, everybody, form, groups)


@post(URL, name="client.subscriptions.save", status_code=200)
async def save(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        everybody = await _people(session, view, await queries.customer(session, customer_id))
        people = [p for p in everybody if _chooses(view, p)]
        form, groups = await _form(session, people, customer_id, given)
        if valid := form.validate():
            for person in people:
                lines = await consent.chosen(session, customer_id=customer_id, user_id=person.user_id)
                wanted = {
                    (c.category.id, c.channel): c.channel.value in form[_field(person.user_id, c.category.id)].data
                    for c in lines
                }
                await consent.choose(
                    session, customer_id=customer_id, user_id=person.user_id, wanted=wanted, how=How.CLIENT
                )
    if valid:
        flash(request.scope, "ok", gettext("Saved."))
        return see_other(URL)
    async with db.reads() as session:
        return await _page(request, session, everybody, form, groups, 422)


HANDLERS = [subscriptions, save]
