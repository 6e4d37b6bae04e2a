"""The composer: "Send message" to one, the chosen, all that match, a segment, or all; one text per language."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_views.access import may, may_press
from admin_views.attachments import store_uploads
from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.messaging import looks
from admin_views.messaging.message_form import (
    MORE,
    TO,
    WHEN,
    MessageForm,
    language_tabs,
    languages,
    macro_list,
    pace_of,
    plan_of,
    text_fields,
    texts_of,
)
from app import filters
from app.domain.messaging import audience as audiences
from app.domain.messaging import checking, starting
from app.domain.messaging.audience import Audience
from app.errors import Forbidden, Invalid
from app.i18n import _, gettext, language_name, ngettext, show_moment, show_number
from app.models.customers import Customer
from app.models.messaging import CampaignState, Category, Channel, Policy, Segment
from app.observe import actor

WHOLLY = ("language", "closed")
"""Reasons for which a customer gets nothing at all; without an address the inbox is left."""


class ComposeFlow(Flow):
    template = "sqladmin/send.html"
    look_template = "sqladmin/send_look.html"
    needs_rows: ClassVar[bool] = False

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        codes = await languages(press.session)
        first = await self.first(press)
        codes += [c for c in first.get("languages", ()) if c not in codes]
        kind = type("ComposeForm", (MessageForm,), text_fields(codes))
        form = cast(Any, kind(posted) if posted is not None else kind(data={"key": secrets.token_urlsafe(16), **first}))
        form.template.render_kw = {
            "data-template-source": "/admin/message_template/data/contents", "data-project": self._project(press),
        }  # fmt: skip
        form.default_language.choices = [(c, language_name(c)) for c in codes]
        form.channels.choices = [(c.value, str(c.label)) for c in Channel]
        if posted is None and not first:
            form.default_language.data = codes[0]
        if not self.offers_segments(press):
            del form.segment
        form.codes = codes
        self._check_audience(press)
        return cast(AppForm, form)

    @staticmethod
    def _project(press: Press) -> int | None:
        """The project that all who are chosen are of, as far as that is known without a look at a million."""
        chosen = {one.project_id for one in press.objects if isinstance(one, Customer)}
        of = chosen or actor.get().projects or ()
        return next(iter(of)) if len(of) == 1 else None

    async def first(self, press: Press) -> dict[str, Any]:
        """What the form begins with, and in `languages` those of its texts."""
        return {}

    async def who(self, press: Press) -> dict[str, Any]:
        """Whom it goes to when no segment is chosen, in the stored form of an audience."""
        return audience_of(press)

    def offers_segments(self, press: Press) -> bool:
        return press.asked is not None and not press.asked.pin and may(press.request, "segment", "list")

    def to_one(self, press: Press) -> bool:
        return press.asked is None and len(press.pks) == 1

    def _check_audience(self, press: Press) -> None:
        if not self.to_one(press) and not may_press(press.request, "customer", "message_all"):
            raise Forbidden(_("Your role allows to write to one customer at a time."))

    async def _who(self, press: Press, form: AppForm, *, sending: bool = False) -> dict[str, Any]:
        chosen = form.data.get("segment")
        if chosen is None:
            return await self.who(press)
        condition = await press.session.scalar(select(Segment.condition).where(Segment.id == chosen))
        if condition is None and sending:  # never somebody else in place of a segment that is gone
            raise Invalid(segment=_("Choose one from the list."))
        return {"filter": condition} if condition is not None else await self.who(press)

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        def group(label: str | None, names: tuple[str, ...], **more: Any) -> dict[str, Any]:
            fields = [n for n in names if n in form]
            return {"label": label, "help": None, "fields": fields, "more": False, **more}

        return [
            group(gettext("To"), ("key", *TO), before=True),
            group(gettext("When"), WHEN),
            group(None, MORE, more=True),
        ]

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        codes: list[str] = cast(Any, form).codes
        every = Audience(await self._who(press, form), tuple(codes), codes[0], projects=actor.get().projects)
        counted = await looks.counted(press.session, every)
        return {
            "languages": language_tabs(codes, counted.by_language),
            "macros": macro_list(),
            "look": await looks.look(
                press.session, form, await self._meant(press, form), customers=counted.customers,
                note=press.said,
            ),
            "page": {
                "title": gettext("Send message"),
                "lede": self.lede(press, counted.customers),
                "submit_label": gettext("Continue"),
                "submit_icon": "send",
                "danger": False,
                "wide": True,
                "cancel_url": press.view.card_url(press.pks[0]) if len(press.pks) == 1 else press.view.list_url,
            },
        }  # fmt: skip

    def lede(self, press: Press, n: int) -> str:
        if len(press.objects) == 1:
            return gettext("To %(name)s") % {"name": press.objects[0].name}
        return ngettext("To %(n)s customer", "To %(n)s customers", n) % {"n": show_number(n)}

    async def before(self, press: Press, form: AppForm) -> None:
        fields = cast(Any, form)
        await store_uploads(press, fields.files, fields.used_files)
        if press.look == "test":
            press.said = await looks.test(form)

    async def _meant(self, press: Press, form: AppForm, *, sending: bool = False) -> Audience:
        """The audience as the form stands; without any text, as if there was one in every language."""
        data, every = form.data, cast(Any, form).codes
        codes = list(texts_of(form, every)) or every
        return Audience(
            await self._who(press, form, sending=sending),
            tuple(codes),
            data["default_language"] if data["default_language"] in codes else codes[0],
            matching_only=data["matching_only"],
            channels=tuple(c for c in Channel if c in (data["channels"] or ())) or tuple(Channel),
            projects=actor.get().projects,
            category_id=data["category"],
        )

    async def _audience(self, press: Press, form: AppForm) -> Audience:
        if not texts_of(form, cast(Any, form).codes):
            first = cast(Any, form).codes[0]
            missing = gettext("Please write a subject and a text in at least one language.")
            raise Invalid(**{f"subject_{first}": missing})
        return await self._meant(press, form, sending=True)

    async def confirm(self, press: Press, form: AppForm) -> dict[str, Any]:
        audience, texts = await self._audience(press, form), texts_of(form, cast(Any, form).codes)
        checking.check_texts(texts)
        problems: dict[str, str] = {}
        checking.check_plan(plan_of(form.data), problems)
        if problems:
            raise Invalid(**problems)
        found = await looks.counted(press.session, audience)  # a moment ago: the audience is frozen when it starts
        if not found.customers:
            raise Invalid(
                _("Nobody would receive this message: %(why)s")
                % {"why": "; ".join(f"{r.count} {r.label}" for r in found.left_out) or gettext("nobody matches")}
            )
        lines = [
            ngettext("%(n)s customer reads it in %(language)s", "%(n)s customers read it in %(language)s", n)
            % {"n": show_number(n), "language": language_name(code)}
            for code, n in sorted(found.by_language.items(), key=lambda p: -p[1])
        ]
        lines += [f"{show_number(n)} × {Channel(c).label}" for c, n in found.deliveries.items() if n]
        lines += [f"{show_number(r.count)} {r.label}" for r in found.left_out if r.reason not in WHOLLY]
        lines += looks.said_of_plan(form.data)
        warnings = [c["text"] for c in await looks.checks(press.session, audience, texts) if c["kind"] == "warn"]
        limit = await press.session.scalar(select(Category.approval_above).where(Category.id == form.data["category"]))
        if limit and await audiences.more_than(press.session, audience, limit):
            more = _("To more than %(n)s customers: it waits until a second staff member has approved it.")
            lines.append(more % {"n": show_number(limit)})
        return {
            "count": found.customers,
            "lines": lines,
            "warnings": warnings,
            "sample": list(found.sample),
            "back": True,
            "what": ngettext("customer will get it", "customers will get it", found.customers),
            "left_out": [{"n": r.count, "why": str(r.label)} for r in found.left_out if r.reason in WHOLLY],
            "submit": ngettext("Send to %(n)s customer", "Send to %(n)s customers", found.customers)
            % {"n": show_number(found.customers)},
        }

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        data, audience = form.data, await self._audience(press, form)
        campaign = await starting.start_campaign(
            session,
            key=data["key"][:64],
            category_id=data["category"],
            audience=audience.who,
            texts=texts_of(form, cast(Any, form).codes),
            default_language=audience.default_language,
            matching_only=audience.matching_only,
            assign_replies=data["assign_replies"],
            channels=tuple(data["channels"]),
            sender_name=data["sender_name"] or "",
            sender_email=data["sender_email"] or "",
            attachment_ids=data["used_files"],
            policy=Policy(data["policy"]),
            plan=plan_of(data),
            pace=pace_of(data),
        )
        said = gettext("The message is on its way.")
        if campaign.state is CampaignState.APPROVAL:
            said = gettext("The message waits until somebody else approves it.")
        elif campaign.state is CampaignState.SCHEDULED and campaign.send_at is not None:
            said = gettext("The message is planned for %(when)s.") % {"when": show_moment(campaign.send_at)}
        return Done(said, url=f"/admin/campaign/details/{campaign.id}")


def condition_of(press: Press) -> dict[str, Any] | None:
    """The filter of the list from which a button was pressed; None: there is none."""
    asked = press.asked
    if asked is None:
        return None
    parts: list[Any] = [] if asked.condition is None else [filters.to_json(asked.condition)]
    if asked.search:
        parts.append({"field": "search", "op": "contains", "value": asked.search})
    if asked.pin:
        parts.append({"any": [{"field": "id", "op": "is", "value": i} for i in asked.pin]})
    return {"all": parts} if parts else None


def audience_of(press: Press) -> dict[str, Any]:
    """Whom this press of the button means, in the stored form of an audience."""
    if press.asked is None:
        return {"ids": list(press.pks)}
    condition = condition_of(press)
    return {"filter": condition} if condition is not None else {"everyone": True}


SEND = Button(
    "message",
    _("Send message"),
    "message-2",
    on=frozenset({"head", "row", "card", "selection"}),
    flow=ComposeFlow(),
    grant_all="action:message_all",
    primary=True,
)

__all__ = ["SEND", "ComposeFlow", "condition_of"]
