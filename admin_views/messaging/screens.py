"""Screens of categories, campaigns and deliveries."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from wtforms import RadioField, StringField, validators
from wtforms.fields.core import UnboundField

from admin_views.access import may_press
from admin_views.base import AppForm, AppView, Button, Related
from admin_views.base.cells import esc
from admin_views.base.fields import plain
from admin_views.base.news import News, lately
from admin_views.base.working import stop_button
from admin_views.messaging.working import GOING, counted, work_of
from app.domain.messaging import campaigns
from app.i18n import LANGUAGES, _, gettext, language_name, ngettext, show_bytes, show_moment, show_number
from app.models.messaging import Campaign, CampaignAttachment, CampaignState, CampaignText, Category, Delivery


def text_section(text: CampaignText) -> dict[str, Any]:
    """A subject and text in one language, as a section of a card."""
    shown = {"language": text.language, "title": text.subject, "body": text.body}
    return {"label": language_name(text.language), "kind": "text", "text": shown}


class Categories(AppView, model=Category):
    name, name_plural, icon, category = _("Message category"), _("Message categories"), "tags", "Configuration"
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


class DecideForm(AppForm):
    what = RadioField(
        _("These mails may have arrived, nobody knows"),
        [validators.InputRequired()],
        choices=[("resend", _("Send them again")), ("sent", _("Take them as sent"))],
    )


async def stop(session: AsyncSession, chosen: list[Campaign]) -> str:
    for campaign in chosen:
        await campaigns.stop_campaign(session, campaign_id=campaign.id)
    return gettext("Stopped. What was already sent stays sent.")


async def resend(session: AsyncSession, chosen: list[Campaign]) -> str:
    n = sum([await campaigns.resend_failed(session, campaign_id=c.id) for c in chosen])
    return ngettext("%(n)s delivery is tried again.", "%(n)s deliveries are tried again.", n) % {"n": show_number(n)}


async def decide(session: AsyncSession, chosen: list[Campaign], *, what: str) -> str:
    n = sum([await campaigns.decide_review(session, campaign_id=c.id, resend=what == "resend") for c in chosen])
    return ngettext("%(n)s delivery is decided.", "%(n)s deliveries are decided.", n) % {"n": show_number(n)}


CARD = frozenset({"card"})


class Campaigns(AppView, model=Campaign):
    name, name_plural, icon, category = _("Campaign"), _("Campaigns"), "send", "Messages"
    letter = "m"
    purpose = _("Messages to many customers, and what became of each. They are sent from the list of customers.")
    readonly = True
    can_create = can_edit = can_delete = False
    related = (Related("delivery", _("Recipients")), Related("ticket", _("Answers")))
    buttons = (
        Button(
            "stop",
            _("Stop"),
            "player-stop",
            on=frozenset(),  # it stands in the progress, and goes away with it
            verb=stop,
            danger=True,
            lede=_("What was already sent stays sent. A stopped campaign cannot go on."),
            shown=lambda c: c.state in GOING,
        ),
        Button(
            "resend",
            _("Send failed ones again"),
            "refresh",
            on=CARD,
            verb=resend,
            shown=lambda c: c.state is CampaignState.DONE,
            more=True,
        ),
        Button(
            "decide",
            _("Decide on doubtful ones"),
            "help-circle",
            on=CARD,
            verb=decide,
            form=DecideForm,
            more=True,
            shown=lambda c: c.state in (CampaignState.DONE, CampaignState.RUNNING),
        ),
    )

    def waiting(self) -> Select[Any]:
        return select(Campaign.id).where(Campaign.state.in_(GOING))

    def news(self, staff_id: int) -> tuple[News, ...]:
        mine = (Campaign.staff_id == staff_id, Campaign.finished_at > lately())
        return (
            News(_("Your campaigns that failed"), "send", (*mine, Campaign.state == CampaignState.FAILED),
                 Campaign.finished_at, "bad"),
            News(_("Your campaigns that are sent"), "send", (*mine, Campaign.state == CampaignState.DONE),
                 Campaign.finished_at),
        )  # fmt: skip

    def of_customers(self, ids: tuple[int, ...]) -> ColumnElement[bool]:
        return exists().where(Delivery.campaign_id == Campaign.id, Delivery.customer_id.in_(ids))

    def card_options(self) -> list[Any]:
        return [
            *super().card_options(),
            selectinload(Campaign.texts),
            selectinload(Campaign.attachments).joinedload(CampaignAttachment.attachment),
        ]

    async def card_context(self, session: AsyncSession, obj: Campaign, request: Request) -> dict[str, Any]:
        asked = gettext("Stop this campaign? What was already sent stays sent.")
        stop = stop_button(f"/admin/campaign/action/stop?pks={obj.id}", asked)
        return {
            "progress": {
                **work_of(obj, await counted(session, obj)),
                "poll_url": f"/admin/campaign/details/{obj.id}/part/progress" if obj.state in GOING else "",
                "stop": stop if obj.state in GOING and may_press(request, self.identity, "stop") else None,
            }
        }

    async def sections(self, session: AsyncSession, obj: Campaign, request: Request) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
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
            {"label": gettext("Started"), "value": show_moment(obj.started_at) if obj.started_at else ""},
            {"label": gettext("Finished"), "value": show_moment(obj.finished_at) if obj.finished_at else ""},
            {"label": gettext("Error"), "value": obj.error},
        ]
        return [{"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"]]}]


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
