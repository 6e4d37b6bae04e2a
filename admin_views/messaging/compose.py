"""The composer: "Send message" to one, the chosen, all that match, or all; one text per language."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import (
    BooleanField,
    HiddenField,
    MultipleFileField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    validators,
)

from admin_views.access import may_press
from admin_views.attachments import store_uploads
from admin_views.base import AppForm, Button, Done, Flow, LookupField, Press
from admin_views.base.fields import ChoiceField, plain
from app import filters, i18n
from app.domain.messaging import audience as audiences
from app.domain.messaging import campaigns
from app.domain.messaging.audience import Audience
from app.domain.messaging.render import MACROS
from app.errors import Forbidden, Invalid
from app.i18n import _, gettext, language_name, ngettext, show_number
from app.models.messaging import Channel, Policy
from app.models.projects import Project
from app.observe import actor


async def languages(session: AsyncSession) -> list[str]:
    """The languages of the projects in use that this staff member sees; the reader's own first."""
    codes: list[str] = []
    for offered in await session.scalars(select(Project.languages).where(Project.enabled).order_by(Project.id)):
        codes += [c for c in offered if c not in codes]
    codes = codes or ["en"]
    own = i18n.language()
    return [own, *(c for c in codes if c != own)] if own in codes else codes


def language_tabs(codes: list[str], counts: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    return [{"code": c, "name": language_name(c), "count": (counts or {}).get(c)} for c in codes]


def text_fields(codes: list[str]) -> dict[str, Any]:
    """A subject and a text per language."""
    made: dict[str, Any] = {}
    for code in codes:
        name = language_name(code)
        made[f"subject_{code}"] = StringField(
            gettext("Subject (%(language)s)") % {"language": name}, [validators.Length(max=300), plain]
        )
        made[f"body_{code}"] = TextAreaField(
            gettext("Text (%(language)s)") % {"language": name}, [validators.Length(max=200_000), plain]
        )
    return made


def texts_of(form: AppForm, codes: list[str]) -> dict[str, tuple[str, str]]:
    """Language -> (subject, text) of what was written; a language with both empty is not there."""
    data = form.data
    pairs = {c: ((data[f"subject_{c}"] or "").strip(), (data[f"body_{c}"] or "").strip()) for c in codes}
    return {c: pair for c, pair in pairs.items() if any(pair)}


def macro_list() -> list[dict[str, str]]:
    return [{"name": m.name, "help": str(m.label)} for m in MACROS.values()]


WHOLLY = ("language", "closed")
"""Reasons for which a customer gets nothing at all; without an address the inbox is left."""


class MessageForm(AppForm):
    category = LookupField(_("Category"), [validators.InputRequired()], target="message_category")
    assign_replies = BooleanField(
        _("Assign replies to me"), default=True, description=_("Otherwise they wait in the common inbox.")
    )
    matching_only = BooleanField(
        _("Only to customers of the corresponding language"),
        description=_(
            "Only languages that have a text of their own receive it. Otherwise the others get the default language."
        ),
    )
    template = LookupField(
        _("Template"), target="message_template", description=_("Start typing its name. It fills in every language.")
    )
    files = MultipleFileField(_("Attachments"))
    used_files = LookupField(_("Files used before"), target="attachment", multiple=True)
    default_language = SelectField(_("Default language"), description=_("For customers whose language has no text."))
    channels = SelectMultipleField(_("Send by"), default=[c.value for c in Channel])
    sender_name = StringField(
        _("Sender name"), [validators.Length(max=200), plain], description=_("Empty: the project's.")
    )
    sender_email = StringField(
        _("Sender address"),
        [validators.Length(max=254), plain],
        description=_("Empty: the project's."),
        render_kw={"type": "email"},
    )
    policy = ChoiceField(
        _("When in doubt whether a mail arrived"),
        kind=Policy,
        default=Policy.RESEND.value,
        description=_("It can happen when a mail server falls silent in the middle."),
    )
    key = HiddenField()


class ComposeFlow(Flow):
    template = "sqladmin/compose.html"
    needs_rows = False

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        codes = await languages(press.session)
        kind = type("ComposeForm", (MessageForm,), text_fields(codes))
        form = cast(Any, kind(posted) if posted is not None else kind(data={"key": secrets.token_urlsafe(16)}))
        form.template.render_kw = {"data-template-source": "/admin/message_template/data/contents"}
        form.default_language.choices = [(c, language_name(c)) for c in codes]
        form.channels.choices = [(c.value, str(c.label)) for c in Channel]
        if posted is None:
            form.default_language.data = codes[0]
        form.codes = codes
        self._check_audience(press)
        return cast(AppForm, form)

    def _check_audience(self, press: Press) -> None:
        one = press.asked is None and len(press.pks) == 1
        if not one and not may_press(press.request, press.view.identity, "message_all"):
            raise Forbidden(_("Your role allows to write to one customer at a time."))

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        return [
            {
                "label": gettext("To"),
                "help": None,
                "fields": ["key", "category", "assign_replies", "matching_only"],
                "more": False,
                "before": True,
            },
            {
                "label": None,
                "help": None,
                "more": True,
                "fields": ["default_language", "channels", "sender_name", "sender_email", "policy"],
            },
        ]

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        codes: list[str] = cast(Any, form).codes
        audience = Audience(audience_of(press), tuple(codes), codes[0], projects=actor.get().projects)
        counted = await audiences.count(press.session, audience)
        return {
            "languages": language_tabs(codes, counted.by_language),
            "macros": macro_list(),
            "page": {
                "title": gettext("Send message"),
                "lede": self._lede(press, counted.customers),
                "submit_label": gettext("Continue"),
                "submit_icon": "send",
                "danger": False,
                "wide": True,
                "cancel_url": press.view.card_url(press.pks[0]) if len(press.pks) == 1 else press.view.list_url,
            },
        }

    @staticmethod
    def _lede(press: Press, n: int) -> str:
        if len(press.objects) == 1:
            return gettext("To %(name)s") % {"name": press.objects[0].name}
        return ngettext("To %(n)s customer", "To %(n)s customers", n) % {"n": show_number(n)}

    async def before(self, press: Press, form: AppForm) -> None:
        fields = cast(Any, form)
        await store_uploads(press, fields.files, fields.used_files)

    def _audience(self, press: Press, form: AppForm) -> Audience:
        data, codes = form.data, list(texts_of(form, cast(Any, form).codes))
        if not codes:
            first = cast(Any, form).codes[0]
            missing = gettext("Please write a subject and a text in at least one language.")
            raise Invalid(**{f"subject_{first}": missing})
        fallback = data["default_language"] if data["default_language"] in codes else codes[0]
        return Audience(
            audience_of(press),
            tuple(codes),
            fallback,
            matching_only=data["matching_only"],
            channels=tuple(data["channels"]),
            projects=actor.get().projects,
            category_id=data["category"],
        )

    async def confirm(self, press: Press, form: AppForm) -> dict[str, Any]:
        audience = self._audience(press, form)
        campaigns.check_texts(texts_of(form, cast(Any, form).codes))
        found = await audiences.count(press.session, audience)
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
        return {
            "count": found.customers,
            "lines": lines,
            "sample": list(found.sample),
            "back": True,
            "what": ngettext("customer will get it", "customers will get it", found.customers),
            "left_out": [{"n": r.count, "why": str(r.label)} for r in found.left_out if r.reason in WHOLLY],
            "submit": ngettext("Send to %(n)s customer", "Send to %(n)s customers", found.customers)
            % {"n": show_number(found.customers)},
        }

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        data, audience = form.data, self._audience(press, form)
        campaign = await campaigns.start_campaign(
            session,
            key=data["key"][:64],
            category_id=data["category"],
            audience=audience.who,
            texts=texts_of(form, cast(Any, form).codes),
            default_language=audience.default_language,
            matching_only=audience.matching_only,
            assign_replies=data["assign_replies"],
            channels=audience.channels,
            sender_name=data["sender_name"] or "",
            sender_email=data["sender_email"] or "",
            attachment_ids=data["used_files"],
            policy=Policy(data["policy"]),
        )
        return Done(gettext("The message is on its way."), url=f"/admin/campaign/details/{campaign.id}")


def audience_of(press: Press) -> dict[str, Any]:
    """Whom this press of the button means, in the stored form of an audience."""
    if press.asked is None:
        return {"ids": list(press.pks)}
    asked = press.asked
    parts: list[Any] = [] if asked.condition is None else [filters.to_json(asked.condition)]
    if asked.search:
        parts.append({"field": "search", "op": "contains", "value": asked.search})
    if asked.pin:
        parts.append({"any": [{"field": "id", "op": "is", "value": i} for i in asked.pin]})
    return {"filter": {"all": parts}} if parts else {"everyone": True}


SEND = Button(
    "message",
    _("Send message"),
    "message-2",
    on=frozenset({"head", "row", "card", "selection"}),
    flow=ComposeFlow(),
    grant_all="action:message_all",
    primary=True,
)

__all__ = ["SEND", "ComposeFlow", "language_tabs", "languages", "macro_list", "text_fields", "texts_of"]
