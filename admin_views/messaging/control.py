"""What staff do with a campaign: pause, resume, stop, plan, approve, send again, write to those it did not reach."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, cast

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import BooleanField, RadioField, validators

from admin_views.access import may_press
from admin_views.base import AppForm, Button, Flow, Press
from admin_views.base.fields import MomentField
from admin_views.base.working import stop_button
from admin_views.messaging.compose import ComposeFlow
from admin_views.messaging.working import WAITING
from app.domain.messaging import campaigns, starting
from app.i18n import _, gettext, ngettext, show_moment, show_number, zone
from app.models.messaging import Campaign, CampaignState, Channel
from app.observe import actor

ENDS = (CampaignState.DONE, CampaignState.CANCELLED)


class DecideForm(AppForm):
    what = RadioField(
        _("These mails may have arrived, nobody knows"),
        [validators.InputRequired()],
        choices=[("resend", _("Send them again")), ("sent", _("Take them as sent"))],
    )


class PlanForm(AppForm):
    send_at = MomentField(_("Send at"), [validators.InputRequired()])
    local_time = BooleanField(
        _("At this time of each recipient's day"),
        description=_("By the time zone of the customer, else of the project."),
    )


class PlanFlow(Flow):
    """Another time; the form begins with what was planned."""

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        first: dict[str, Any] = {}
        if len(press.objects) == 1:
            campaign = press.one
            clock = datetime.fromisoformat(campaign.local_at).replace(tzinfo=zone()) if campaign.local_at else None
            first = {"send_at": clock or campaign.send_at, "local_time": clock is not None}
        return PlanForm(posted, data=first)


async def stop(session: AsyncSession, chosen: list[Campaign]) -> str:
    for campaign in chosen:
        await campaigns.stop_campaign(session, campaign_id=campaign.id)
    return gettext("Stopped. What was already sent stays sent.")


async def pause(session: AsyncSession, chosen: list[Campaign]) -> str:
    for campaign in chosen:
        await campaigns.pause_campaign(session, campaign_id=campaign.id)
    return gettext("Paused. Nothing more is sent until somebody resumes it.")


async def resume(session: AsyncSession, chosen: list[Campaign]) -> str:
    for campaign in chosen:
        await campaigns.resume_campaign(session, campaign_id=campaign.id)
    return gettext("It goes on.")


async def approve(session: AsyncSession, chosen: list[Campaign]) -> str:
    for campaign in chosen:
        await starting.approve_campaign(session, campaign_id=campaign.id)
    return gettext("Approved.")


async def plan(session: AsyncSession, chosen: list[Campaign], *, send_at: datetime, local_time: bool) -> str:
    for campaign in chosen:
        await starting.plan_campaign(session, campaign_id=campaign.id, send_at=send_at, local_time=local_time)
    return gettext("Planned for %(when)s.") % {"when": show_moment(send_at)}


async def send_now(session: AsyncSession, chosen: list[Campaign]) -> str:
    for campaign in chosen:
        await starting.plan_campaign(session, campaign_id=campaign.id, send_at=None)
    return gettext("The message is on its way.")


async def resend(session: AsyncSession, chosen: list[Campaign]) -> str:
    n = sum([await campaigns.resend_failed(session, campaign_id=c.id) for c in chosen])
    return ngettext("%(n)s delivery is tried again.", "%(n)s deliveries are tried again.", n) % {"n": show_number(n)}


async def decide(session: AsyncSession, chosen: list[Campaign], *, what: str) -> str:
    n = sum([await campaigns.decide_review(session, campaign_id=c.id, resend=what == "resend") for c in chosen])
    return ngettext("%(n)s delivery is decided.", "%(n)s deliveries are decided.", n) % {"n": show_number(n)}


class UnreachedFlow(ComposeFlow):
    """A new message, with the same words to begin with, to those whom this campaign did not reach."""

    needs_rows: ClassVar[bool] = True

    async def who(self, press: Press) -> dict[str, Any]:
        campaign = cast(Campaign, press.one)
        by_mail = Channel.EMAIL in campaign.channels
        return {"unreached": {"campaign": campaign.id, "channel": Channel.EMAIL.value if by_mail else ""}}

    def to_one(self, press: Press) -> bool:
        return False

    async def first(self, press: Press) -> dict[str, Any]:
        campaign = cast(Campaign, press.one)
        texts = {f"subject_{t.language}": t.subject for t in campaign.texts}
        texts |= {f"body_{t.language}": t.body for t in campaign.texts}
        return {
            **texts,
            "languages": [t.language for t in campaign.texts],
            "category": campaign.category_id,
            "default_language": campaign.default_language,
            "channels": list(campaign.channels),
            "matching_only": campaign.matching_only,
            "assign_replies": campaign.assign_replies,
            "sender_name": campaign.sender_name,
            "sender_email": campaign.sender_email,
            "policy": campaign.policy.value,
            "used_files": [a.attachment_id for a in campaign.attachments],
        }

    def lede(self, press: Press, n: int) -> str:
        said = ngettext(
            "To %(n)s customer whom “%(name)s” did not reach", "To %(n)s customers whom “%(name)s” did not reach", n
        )
        return said % {"n": show_number(n), "name": press.one.subject}


CARD = frozenset({"card"})
INSIDE: frozenset[str] = frozenset()
"""Stands in the progress, and goes away with it."""

BUTTONS = (
    Button(
        "stop",
        _("Stop"),
        "player-stop",
        on=INSIDE,
        verb=stop,
        danger=True,
        lede=_("What was already sent stays sent. A stopped campaign cannot go on."),
        shown=lambda c: c.state not in ENDS and c.state is not CampaignState.FAILED,
    ),
    Button(
        "pause",
        _("Pause"),
        "player-pause",
        on=INSIDE,
        verb=pause,
        lede=_("Nothing more is sent until somebody resumes it."),
        shown=lambda c: c.state is CampaignState.RUNNING,
    ),
    Button(
        "resume", _("Resume"), "player-play", on=INSIDE, verb=resume, shown=lambda c: c.state is CampaignState.PAUSED
    ),
    Button(
        "approve",
        _("Approve"),
        "check",
        on=CARD,
        verb=approve,
        primary=True,
        lede=_("It is sent then, or at its time. Who has written a message cannot approve it."),
        shown=lambda c: c.state is CampaignState.APPROVAL and c.staff_id != actor.get().staff_id,
    ),
    Button(
        "send_now",
        _("Send now"),
        "send",
        on=CARD,
        verb=send_now,
        lede=_("It does not wait for its time."),
        shown=lambda c: c.state in (CampaignState.SCHEDULED, CampaignState.MISSED),
    ),
    Button(
        "plan",
        _("Choose another time"),
        "calendar-time",
        on=CARD,
        verb=plan,
        flow=PlanFlow(),
        shown=lambda c: c.state in WAITING,
    ),
    Button(
        "resend",
        _("Send failed ones again"),
        "refresh",
        on=CARD,
        verb=resend,
        shown=lambda c: c.state in (CampaignState.DONE, CampaignState.PAUSED),
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
        shown=lambda c: c.state in (CampaignState.DONE, CampaignState.RUNNING, CampaignState.PAUSED),
    ),
    Button(
        "unreached",
        _("Write to those who were not reached"),
        "message-2",
        on=CARD,
        flow=UnreachedFlow(),
        more=True,
        shown=lambda c: c.state in ENDS,
    ),
)


def inside(request: Request, campaign: Campaign) -> dict[str, Any]:
    """The buttons in the progress of a campaign: `stop` and `acts`, without what the person may not do."""
    address = "/admin/campaign/action/{}?pks={}".format
    shown: dict[str, Any] = {"stop": None, "acts": []}
    for button in BUTTONS:
        if button.on or button.shown is None or not button.shown(campaign):
            continue
        if not may_press(request, "campaign", button.slug):
            continue
        url = address(button.slug, campaign.id)
        if button.slug == "stop":
            asked = gettext("Stop this campaign? What was already sent stays sent.")
            shown["stop"] = stop_button(url, asked)
        else:
            asked = gettext("Pause this campaign?") if button.slug == "pause" else gettext("Go on with this campaign?")
            act = {**stop_button(url, asked), "label": str(button.label), "icon": button.icon}
            shown["acts"].append(act)
    return shown


def waits_for(campaign: Campaign) -> str:
    """Why a campaign does not go on by itself, in words for its card."""
    at = show_moment(campaign.send_at) if campaign.send_at is not None else ""
    match campaign.state:
        case CampaignState.APPROVAL:
            said = gettext("So many customers: it waits until somebody else has approved it.")
            return " ".join([said, gettext("It is planned for %(when)s.") % {"when": at}]) if at else said
        case CampaignState.SCHEDULED if campaign.local_at:
            clock = campaign.local_at.replace("T", " ")
            return gettext("It is sent when it is %(clock)s on the recipient's clock.") % {"clock": clock}
        case CampaignState.SCHEDULED:
            return gettext("It is sent on %(when)s.") % {"when": at}
        case CampaignState.MISSED:
            said = gettext("It was planned for %(when)s and could not start then. Send it now, or choose another time.")
            return said % {"when": at}
        case CampaignState.PAUSED:
            return gettext(campaign.error) if campaign.error else gettext("Nothing is sent until somebody resumes it.")
    return ""
