"""Merging two customers: both side by side, what moves and what stays, and the way back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Select, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import HiddenField, RadioField, validators

from admin_views.access import may, may_press
from admin_views.base import AppForm, Button, Done, Flow, LookupField, Press
from admin_views.base.cells import esc, ready
from app import db
from app.db import BigId, Choice, fold, utcnow
from app.domain import customers
from app.domain.customers import merge_work, merging, unmerging
from app.errors import AppError, Invalid, NotFound
from app.i18n import _, country_name, gettext, language_name, show_moment, show_number
from app.models import scope
from app.models.audit import Audit
from app.models.customers import Customer
from app.models.jobs import Job

KEPT, GONE = "kept", "gone"


class MergeForm(AppForm):
    other = LookupField(
        _("Merge with"),
        [validators.InputRequired()],
        target="customer",
        description=_("The other customer, of the same project."),
    )


class MergeFlow(Flow):
    """First whom; then, of both side by side, whose values stay. `kept` is the one who stays, by default the older."""

    template = "sqladmin/merge.html"
    form = MergeForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        pair = await self._pair(press, posted)
        if pair is None:
            return MergeForm(posted)
        kept, gone = pair
        default = merging.default_choice(kept, gone)
        fields: dict[str, Any] = {"kept": HiddenField(), "other": HiddenField()}
        for name in _different(kept, gone):
            fields[name] = RadioField(_label(name), choices=[(KEPT, ""), (GONE, "")])
        now = {name: GONE if name in default else KEPT for name in fields} | {"kept": kept.id, "other": gone.id}
        form: Any = type("Chosen", (AppForm,), fields)(posted, data=now)
        form.first = posted is not None and "kept" not in posted  # whom is known, and now both are shown
        return cast(AppForm, form)

    @staticmethod
    async def _pair(press: Press, posted: Any) -> tuple[Customer, Customer] | None:
        """Who stays and who goes, as far as that is known."""
        if len(press.objects) > 2:
            raise Invalid(gettext("Choose exactly two customers."))
        source = posted if posted is not None else press.request.query_params
        named = [int(text) for name in ("kept", "other") if _number(text := str(source.get(name, "")))]
        chosen = sorted(o.id for o in press.objects)
        ids = list(dict.fromkeys(named if "kept" in source else [*chosen, *named]))[:2]
        if len(ids) < 2:
            return None
        options = press.view.card_options()
        rows = await press.session.scalars(select(Customer).where(Customer.id.in_(ids)).options(*options))
        found = {customer.id: customer for customer in rows.unique()}
        if len(found) < 2:
            raise NotFound
        return found[ids[0]], found[ids[1]]

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        if "kept" not in form:
            return {"pair": None}
        kept, gone = await self._chosen(press.session, form, press.view.card_options())
        reasons = await merging.refusals_to_merge(press.session, kept=kept, gone=gone)
        pks = ",".join(map(str, press.pks))
        sides = [
            {
                "name": name,
                "label": _label(name),
                "values": [
                    {"value": side, "text": _shown(one, name), "checked": form[name].data == side}
                    for side, one in ((KEPT, kept), (GONE, gone))
                ],
            }
            for name in _different(kept, gone)
        ]
        moves = [(a.label, show_number(a.n)) for a in await customers.attached(press.session, gone)]
        return {
            "pair": [{"id": c.id, "name": c.name, "url": press.view.card_url(c.id)} for c in (kept, gone)],
            "swap_url": f"/admin/customer/action/merge?pks={pks}&kept={gone.id}&other={kept.id}",
            "sides": sides,
            "moves": [{"label": label, "value": n} for label, n in moves],
            "warnings": reasons,
            "lines": await self._lines(press.session, kept, gone),
        }

    @staticmethod
    async def _lines(session: AsyncSession, kept: Customer, gone: Customer) -> list[str]:
        stays = gettext("Issued invoices, payments and expenses never change: they stay as they are and are shown with "
                        "%(name)s. The balance is transferred.")  # fmt: skip
        lead = gettext("%(gone)s (#%(id)s) becomes a closed entry, and its address leads to %(name)s.")
        lines = [
            lead % {"gone": gone.name, "id": gone.id, "name": kept.name},
            stays % {"name": kept.name},
            gettext("It can be undone for a day, as long as nothing of it is changed."),
        ]
        if await merging.messages_to_move(session, gone.id) >= merging.LARGE:
            lines.append(gettext("There are many messages: this goes on in the background."))
        return lines

    @staticmethod
    async def _chosen(
        session: AsyncSession, form: AppForm, options: list[Any] | None = None
    ) -> tuple[Customer, Customer]:
        ids = [int(form.data[name]) for name in ("kept", "other")]
        query = select(Customer).where(Customer.id.in_(ids)).options(*(options or ()))
        found = {customer.id: customer for customer in (await session.scalars(query)).unique()}
        if len(found) < 2:
            raise NotFound
        return found[ids[0]], found[ids[1]]

    async def confirm(self, press: Press, form: AppForm) -> dict[str, Any] | None:
        """Nothing more to ask: the page with both says it all. Whoever has only chosen the other one is shown it."""
        if "kept" not in form or form.first:  # type: ignore[attr-defined]
            raise AppError("")
        return None

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        kept, gone = await self._chosen(session, form)
        url, name = press.view.card_url(kept.id), gone.name
        take = {f for f in merging.CHOSEN if f in form and form[f].data == GONE}
        job = await merge_work.begin_merge(session, kept=kept, gone=gone, take=take)
        return _done(press.request, job, gettext("%(name)s is merged.") % {"name": name}, url)


class UnmergeFlow(Flow):
    """For a customer who was merged into another one."""

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        return {"warnings": await unmerging.refusals_to_unmerge(press.session, gone_id=press.one.id)}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        url, name = press.view.card_url(press.one.id), press.one.name
        job = await merge_work.begin_unmerge(session, gone=press.one)
        said = gettext("The merge is undone: %(name)s is a customer again.") % {"name": name}
        return _done(press.request, job, said, url)


def _done(request: Request, job: Job | None, said: str, url: str) -> Done:
    if job is None:
        return Done(said, url=url)
    shown = f"/admin/job/details/{job.id}" if may(request, "job", "details") else "/admin/customer/list"
    return Done(gettext("This goes on in the background."), url=shown)


MERGE = Button(
    "merge",
    _("Merge"),
    "git-merge",
    on=frozenset({"card", "selection"}),
    flow=MergeFlow(),
    more=True,
    lede=_("Two entries for the same customer become one."),
    submit=_("Merge"),
)
UNMERGE = Button(
    "unmerge",
    _("Undo the merge"),
    "arrow-back-up",
    on=frozenset(),
    flow=UnmergeFlow(),
    grant="action:merge",
    lede=_("Everything goes back to where it was before."),
    submit=_("Undo the merge"),
)


# ---- values side by side --------------------------------------------------------------------------------------------


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _label(name: str) -> str:
    return str(Customer.__table__.c[name].info["label"])


def _different(kept: Customer, gone: Customer) -> list[str]:
    return [f for f in merging.CHOSEN if getattr(kept, f) != getattr(gone, f) and (getattr(gone, f) or f == "kind")]


def _shown(customer: Customer, name: str) -> str:
    value = getattr(customer, name)
    if value in (None, ""):
        return ""
    if isinstance(value, Choice):
        return str(value.label)
    if isinstance(value, datetime):
        return show_moment(value)
    if name.endswith("_id"):
        return str(getattr(customer, name.removesuffix("_id")) or "")
    if name == "country":
        return country_name(value)
    return language_name(value) if name == "language" else str(value)


# ---- on the card ----------------------------------------------------------------------------------------------------

ALIKE, DOUBLE = 5, "double"


async def sections(request: Request, session: AsyncSession, customer: Any) -> list[dict[str, Any]]:
    """Who may be the same, and who was merged into this one; nothing where there is nobody."""
    merges = may_press(request, "customer", "merge")
    shown = []
    alike, doubles = await _near(session, customer)
    if alike:
        words = []
        for other in alike:
            link = f'<a class="ink" href="/admin/customer/details/{other.id}"><bdi>{esc(other.name)}</bdi></a>'
            link += f' <span class="faint">#{other.id}, {esc(_SAME[other.what])}</span>'
            if merges:
                to = f"/admin/customer/action/merge?pks={customer.id}&amp;other={other.id}"
                named = esc(gettext("Merge with %(name)s") % {"name": other.name})
                press = f'<a href="{to}" aria-label="{named}">{esc(gettext("Merge"))}</a>'
                link = f'<span class="grow cut">{link}</span>{press}'
            words.append(ready(link))
        shown.append({"label": gettext("Perhaps the same customer"), "kind": "words", "words": words})
    if doubles:
        fresh = merges and await _merged_lately(session, customer.id)
        words = []
        for double in doubles:
            line = (
                f'<span class="grow cut"><bdi>{esc(double.name)}</bdi> <span class="faint">#{double.id}</span></span>'
            )
            if fresh:
                undo = gettext("Undo")
                line += f'<a href="{UNMERGE.url("customer", double.id)}">{esc(undo)}</a>'
            words.append(ready(line))
        shown.append({"label": gettext("Merged into this one"), "kind": "words", "words": words})
    return shown


_SAME = {"email": _("same e-mail"), "phone": _("same phone"), "vat": _("same VAT number")}


async def _near(session: AsyncSession, customer: Any) -> tuple[list[Any], list[Any]]:
    """Who may be the same, and who was merged into this one, in one statement. By indexes alone: a number that is
    written in another way is found when the customer is saved."""

    async def make() -> Select[Any]:
        keys: dict[str, Any] = {"email": Customer.email_folded, "phone": Customer.phone, "vat": Customer.vat_number}
        own, into = Customer.id == db.given("customer", BigId), Customer.merged_into_id
        parts = [
            _rows(what).where(
                key == db.given(what, key.type), key != "", ~own, into.is_(None),
                Customer.project_id == db.given("project", BigId),
            ).limit(ALIKE)
            for what, key in keys.items()
        ]  # fmt: skip
        parts.append(_rows(DOUBLE).where(into == db.given("customer", BigId)).limit(20))
        return scope.limited(select(union_all(*(select(part.subquery()) for part in parts)).subquery()))

    found = await db.ask(
        session, ("card near", scope.whose()), make, customer=customer.id, project=customer.project.id,
        email=fold(customer.email), phone=customer.phone, vat=customer.vat_number,
    )  # fmt: skip
    alike: dict[int, Any] = {}
    for row in found:
        if row.what != DOUBLE:
            alike.setdefault(row.id, row)
    return list(alike.values())[:ALIKE], [row for row in found if row.what == DOUBLE]


def _rows(what: str) -> Select[Any]:
    rows: Any = select(Customer.id, Customer.name, literal(what).label("what"))
    found: Select[Any] = rows.order_by(Customer.id)
    return found


async def _merged_lately(session: AsyncSession, customer_id: int) -> bool:
    row = select(Audit.id).where(
        Audit.noun == "customer", Audit.noun_id == customer_id, Audit.action == "merge",
        Audit.at > utcnow() - timedelta(days=1),
    )  # fmt: skip
    return await session.scalar(row.limit(1).execution_options(unscoped=True)) is not None
