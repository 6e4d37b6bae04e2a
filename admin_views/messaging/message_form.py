"""The fields of the composer: to whom, in which languages, by which channels, when and how fast."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import (
    BooleanField,
    HiddenField,
    IntegerField,
    MultipleFileField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    validators,
)

from admin_views.base import AppForm, LookupField
from admin_views.base.fields import ChoiceField, MomentField, plain
from app import i18n
from app.domain.messaging.plans import Pace, Plan
from app.domain.messaging.render import MACROS
from app.i18n import _, gettext, language_name
from app.models.messaging import Channel, Policy
from app.models.projects import Project


async def languages(session: AsyncSession) -> list[str]:
    """The languages of the projects in use that this staff member sees; the reader's own first."""
    codes: list[str] = []
    for offered in await session.scalars(select(Project.languages).where(Project.enabled).order_by(Project.id)):
        codes += [c for c in offered if c not in codes]
    codes = codes or ["en"]
    own = i18n.language()
    return [own, *(c for c in codes if c != own)] if own in codes else codes


def language_tabs(codes: list[str], counts: Any = None) -> list[dict[str, Any]]:
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
            gettext("Text (%(language)s)") % {"language": name},
            [validators.Length(max=200_000), plain],
            description=gettext("Markdown. A text that begins with a tag, such as <p>, is HTML."),
        )
    return made


def texts_of(form: AppForm, codes: list[str]) -> dict[str, tuple[str, str]]:
    """Language -> (subject, text) of what was written; a language with both empty is not there."""
    data = form.data
    pairs = {c: ((data[f"subject_{c}"] or "").strip(), (data[f"body_{c}"] or "").strip()) for c in codes}
    return {c: pair for c, pair in pairs.items() if any(pair)}


def macro_list() -> list[dict[str, str]]:
    return [{"name": m.name, "help": str(m.label)} for m in MACROS.values()]


def _hour(text: Any) -> int | None:
    return int(text) if text not in (None, "", "None") else None


def _hours(label: str, **more: Any) -> SelectField:
    hours = [("", "–"), *((str(hour), f"{hour:02}:00") for hour in range(24))]
    return SelectField(label, choices=hours, coerce=lambda text: "" if text is None else str(text), default="", **more)


def _number(label: str, most: int, description: str) -> IntegerField:
    rules = [validators.Optional(), validators.NumberRange(0, most)]
    return IntegerField(label, rules, description=description, render_kw={"min": 0, "max": most})


class MessageForm(AppForm):
    segment = LookupField(
        _("Segment"),
        target="segment",
        description=_("Empty: the customers that the list showed. Start typing its name."),
    )
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
    send_at = MomentField(
        _("Send at"), [validators.Optional()], description=_("Empty: now. Who receives it is decided then.")
    )
    local_time = BooleanField(
        _("At this time of each recipient's day"),
        description=_("By the time zone of the customer, else of the project."),
    )
    grace_minutes = IntegerField(
        _("Ask again when it is late by so many minutes"),
        [validators.Optional(), validators.NumberRange(1, 10_080)],
        default=60,
        description=_("If nothing could be sent at that time, it waits for your word instead of going out late."),
        render_kw={"min": 1, "max": 10_080},
    )
    quiet_from = _hours(_("Quiet hours from"), description=_("Nothing is sent then by the recipient's clock."))
    quiet_until = _hours(_("Quiet hours until"))
    per_second = _number(_("At most so many messages a second"), 10_000, _("Empty: as fast as possible."))
    per_domain_second = _number(
        _("At most so many a second to one mail domain"), 10_000, _("Large mail providers slow down who hurries.")
    )
    stop_percent = _number(_("Pause when so many per cent fail"), 100, _("Of the last 200 mails. Empty: never."))
    as_customer = LookupField(
        _("Preview as"), target="customer", description=_("Empty: with made-up values, in every language.")
    )
    key = HiddenField()


def plan_of(data: dict[str, Any]) -> Plan:
    return Plan(
        send_at=data["send_at"], local_time=data["local_time"], grace_minutes=data["grace_minutes"] or 60,
        quiet_from=_hour(data["quiet_from"]), quiet_until=_hour(data["quiet_until"]),
    )  # fmt: skip


def pace_of(data: dict[str, Any]) -> Pace:
    return Pace(data["per_second"] or 0, data["per_domain_second"] or 0, data["stop_percent"] or 0)


TO = ("category", "segment", "assign_replies", "matching_only")
WHEN = ("send_at", "local_time", "quiet_from", "quiet_until")
MORE = (
    "default_language", "channels", "sender_name", "sender_email", "policy", "grace_minutes", "per_second",
    "per_domain_second", "stop_percent",
)  # fmt: skip
"""The sections of the composer."""
