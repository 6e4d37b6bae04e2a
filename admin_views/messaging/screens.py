"""Screens of categories, campaigns and deliveries."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from wtforms import StringField, validators
from wtforms.fields.core import UnboundField

from admin_views.base import AppView, Related
from admin_views.base.cells import esc
from admin_views.base.fields import plain
from admin_views.base.news import News, lately
from admin_views.messaging import control, reports
from admin_views.messaging.working import GOING, counted, work_of
from app.i18n import LANGUAGES, _, gettext, language_name, show_bytes, show_moment, show_number
from app.models.messaging import Campaign, CampaignAttachment, CampaignState, CampaignText, Category, Delivery


def text_section(text: CampaignText) -> dict[str, Any]:
    """A subject and text in one language, as a section of a card."""
    shown = {"language": text.language, "title": text.subject, "body": text.body}
    return {"label": language_name(text.language), "kind": "text", "text": shown}


class Categories(AppView, model=Category):
    name, name_plural, icon, category = _("Message category"), _("Message categories"), "tags", "Configuration"
    in_place = ("name", "department", "priority")
    purpose = _("Kinds of messages; customers choose which of them they receive.")
    extra_groups = ((_("Name per language"), tuple(f"name_{code}" for code in LANGUAGES)),)

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        return {
            f"name_{code}": cast(
                "UnboundField[Any]", StringField(language_name(code), [validators.Length(max=200), plain])
            )
            for code in LANGUAGES
        }

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {f"name_{code}": obj.names.get(code, "") for code in LANGUAGES} if obj is not None else {}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        named = {code: (values.pop(f"name_{code}") or "").strip() for code in LANGUAGES}
        values["names"] = {code: name for code, name in named.items() if name}
        return await super().save(session, obj, values)


ASKS = (CampaignState.APPROVAL, CampaignState.MISSED, CampaignState.PAUSED)
"""Waits for somebody."""


class Campaigns(AppView, model=Campaign):
    name, name_plural, icon, category = _("Campaign"), _("Campaigns"), "send", "Messages"
    letter = "m"
    purpose = _("Messages to many customers, and what became of each. They are sent from the list of customers.")
    readonly = True
    can_create = can_edit = can_delete = False
    related = (Related("delivery", _("Recipients")), Related("ticket", _("Answers")))
    buttons = control.BUTTONS

    def waiting(self) -> Select[Any]:
        return select(Campaign.id).where(Campaign.state.in_((*GOING, *ASKS)))

    def news(self, staff_id: int) -> tuple[News, ...]:
        mine = (Campaign.staff_id == staff_id, Campaign.finished_at > lately())
        state = Campaign.state
        return (
            News(_("Campaigns that wait for approval"), "send",
                 (state == CampaignState.APPROVAL, or_(Campaign.staff_id.is_(None), Campaign.staff_id != staff_id)),
                 Campaign.created_at, "warn"),
            News(_("Your campaigns that missed their time"), "send",
                 (Campaign.staff_id == staff_id, state == CampaignState.MISSED), Campaign.send_at, "warn"),
            News(_("Your campaigns that are paused"), "send",
                 (Campaign.staff_id == staff_id, state == CampaignState.PAUSED), Campaign.started_at, "warn"),
            News(_("Your campaigns that failed"), "send", (*mine, Campaign.state == CampaignState.FAILED),
                 Campaign.finished_at, "bad"),
            News(_("Your campaigns that are sent"), "send", (*mine, Campaign.state == CampaignState.DONE),
                 Campaign.finished_at),
        )  # fmt: skip

    def card_options(self) -> list[Any]:
        return [
            *super().card_options(),
            selectinload(Campaign.texts),
            selectinload(Campaign.attachments).joinedload(CampaignAttachment.attachment),
        ]

    async def card_context(self, session: AsyncSession, obj: Campaign, request: Request) -> dict[str, Any]:
        shown = work_of(obj, await counted(session, obj))
        return {
            "progress": {
                **shown,
                **control.inside(request, obj),
                "note": control.waits_for(obj) or shown["note"],
                "poll_url": f"/admin/campaign/details/{obj.id}/part/progress" if obj.state in GOING else "",
            }
        }

    async def sections(self, session: AsyncSession, obj: Campaign, request: Request) -> list[dict[str, Any]]:
        shown = await reports.sections(session, obj, request)
        for text in sorted(obj.texts, key=lambda t: (t.language != obj.default_language, t.language)):
            shown.append(text_section(text))
        return shown

    async def side(self, session: AsyncSession, obj: Campaign, request: Request) -> list[dict[str, Any]]:
        files = [f"{a.attachment.name} ({show_bytes(a.attachment.size)})" for a in obj.attachments]
        items = [
            {"label": gettext("Category"), "value": str(obj.category)},
            {"label": gettext("Sent by"), "value": str(obj.staff or "Bursar")},
            {
                "label": gettext("Replies"),
                "value": gettext("to the sender") if obj.assign_replies else gettext("to the common inbox"),
            },
            {
                "label": gettext("Languages"),
                "value": gettext("only the corresponding one")
                if obj.matching_only
                else gettext("with fallback to %(language)s") % {"language": language_name(obj.default_language)},
            },
            {"label": gettext("Attachments"), "value": ", ".join(files)},
            {"label": gettext("Pace"), "value": _pace(obj)},
            {"label": gettext("Quiet hours"), "value": _quiet(obj)},
            {"label": gettext("Planned for"), "value": show_moment(obj.send_at) if obj.send_at else ""},
            {"label": gettext("Approved by"), "value": obj.approved_by},
            {"label": gettext("Started"), "value": show_moment(obj.started_at) if obj.started_at else ""},
            {"label": gettext("Finished"), "value": show_moment(obj.finished_at) if obj.finished_at else ""},
            {"label": gettext("Error"), "value": obj.error},
        ]
        return [{"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"]]}]


def _pace(campaign: Campaign) -> str:
    lines = []
    if campaign.per_second:
        lines.append(gettext("at most %(n)s a second") % {"n": show_number(campaign.per_second)})
    if campaign.per_domain_second:
        lines.append(gettext("at most %(n)s a second to one domain") % {"n": show_number(campaign.per_domain_second)})
    if campaign.stop_percent:
        lines.append(gettext("pauses when %(n)s %% fail") % {"n": show_number(campaign.stop_percent)})
    return ", ".join(lines)


def _quiet(campaign: Campaign) -> str:
    if campaign.quiet_from is None or campaign.quiet_until is None:
        return ""
    return f"{campaign.quiet_from:02}:00–{campaign.quiet_until:02}:00"


class Deliveries(AppView, model=Delivery):
    name, name_plural, icon, category = _("Delivery"), _("Deliveries"), "mail-forward", "Messages"
    purpose = _("Every single message, to whom it went and whether it arrived.")
    readonly = True
    can_create = can_edit = can_delete = can_view_details = False

    @staticmethod
    def cell_error(delivery: Delivery) -> str:
        return f"<span class=soft>{esc(gettext(delivery.error))}</span>" if delivery.error else ""

    def row_label(self, obj: Delivery) -> str:
        return f"{obj.customer}, {obj.channel.label}"
