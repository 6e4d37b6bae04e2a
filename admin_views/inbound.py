"""Mail that came in: what became of each, and what waits for a decision of staff."""

from __future__ import annotations

import asyncio
from typing import Any

from markupsafe import Markup
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from wtforms import validators

from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press
from admin_views.base.cells import esc
from admin_views.base.news import News
from app.domain import inbound, tickets
from app.errors import Invalid, NotFound
from app.i18n import _, gettext, show_bytes, show_moment
from app.integrations.mail.reading import Incoming, Unreadable
from app.integrations.storage import DirectoryStorage, FileMissing
from app.models.customers import Customer
from app.models.inbound import InboundMail, InboundState

LARGEST_SHOWN = 5 * 1024 * 1024
"""Bytes of a mail that is read for its card."""
CARD = frozenset({"card"})


def _storage(request: Request) -> DirectoryStorage:
    return DirectoryStorage(request.app.state.settings.data_dir / "attachments")


async def _letter(request: Request, mail: InboundMail) -> Incoming:
    """Raises Unreadable, FileMissing."""
    raw = await _storage(request).read(mail.key)
    letter = await asyncio.to_thread(Incoming, raw)
    await asyncio.to_thread(lambda: (letter.text, letter.files))
    return letter


class GiveForm(AppForm):
    customer = LookupField(
        _("Customer"), [validators.InputRequired()], target="customer",
        description=_("The mail becomes a new ticket of this customer."),
    )  # fmt: skip


class GiveFlow(Flow):
    """Make a ticket of a mail. The mail is read before the transaction."""

    form = GiveForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        if posted is not None:
            return GiveForm(posted)
        mail = press.one
        known = [mail.customer_id] if mail.customer_id else await inbound.customers_of(press.session, mail.sender)
        seen = await press.session.scalars(select(Customer.id).where(Customer.id.in_(known)).order_by(Customer.id))
        return GiveForm(data={"customer": seen.first()})

    async def before(self, press: Press, form: AppForm) -> None:
        fields: Any = form
        try:
            fields.letter = await _letter(press.request, press.one)
        except (Unreadable, FileMissing) as problem:
            raise Invalid(
                _("This mail cannot be taken apart (%(why)s). Download the original and write the ticket yourself.")
                % {"why": inbound.told(str(problem))}
            ) from None

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        fields: Any = form
        ticket = await inbound.give_to(
            session, mail_id=press.one.id, customer_id=form.data["customer"], letter=fields.letter,
            storage=_storage(press.request), most_bytes=press.request.app.state.settings.max_upload_bytes,
        )  # fmt: skip
        return Done(gettext("The ticket is made."), url=f"/admin/ticket/details/{ticket.id}")


class OriginalFlow(Flow):
    """Hand out the mail as it came, as a file that no browser opens."""

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        mail = press.one
        try:
            raw = await _storage(press.request).read(mail.key)
        except FileMissing:
            raise NotFound from None
        headers = {"Content-Disposition": f'attachment; filename="mail-{mail.id}.eml"'}
        return Done("", response=Response(raw, media_type="application/octet-stream", headers=headers))


async def drop(session: AsyncSession, chosen: list[InboundMail]) -> str:
    for mail in chosen:
        await inbound.drop(session, mail_id=mail.id)
    return gettext("Discarded.")


async def again(session: AsyncSession, chosen: list[InboundMail]) -> str:
    for mail in chosen:
        await inbound.sort_again(session, mail_id=mail.id)
    return gettext("It is sorted again.")


def _may(to: InboundState) -> Any:
    """Whether a mail may go there; for all but throwing it away its original is needed."""

    def may(mail: Any) -> bool:
        legal = to in inbound.INBOUND_MOVES[mail.state] and mail.state is not InboundState.NEW
        return legal and (to is InboundState.DROPPED or _has_original(mail))

    return may


def _has_original(mail: Any) -> bool:
    """Rows of the list do not say where the original lies: there it is asked for when it comes to it."""
    return getattr(mail, "key", None) != ""


class InboundMails(AppView, model=InboundMail):
    name, name_plural, icon, category = _("Inbound mail"), _("Inbound mails"), "mail", "Messages"
    purpose = _("Every mail that came in, and what became of it. What nobody can sort by itself waits here.")
    readonly = True
    can_create = can_edit = can_delete = False
    needs = ("key",)
    buttons = (
        Button("ticket", _("Make a ticket for…"), "ticket", on=frozenset({"row", "card"}), flow=GiveFlow(),
               grant="edit", primary=True, submit=_("Make the ticket"), shown=_may(InboundState.TAKEN)),
        Button("again", _("Sort again"), "refresh", on=frozenset({"card", "selection"}), verb=again, grant="edit",
               shown=_may(InboundState.NEW)),
        Button("drop", _("Discard the mail"), "trash", on=frozenset({"card", "selection"}), verb=drop, grant="edit",
               shown=_may(InboundState.DROPPED), lede=_("The mail stays here, marked as discarded.")),
        Button("original", _("The original"), "download", on=CARD, flow=OriginalFlow(), grant="details", more=True,
               submit=_("Download"), lede=_("The mail as it came. Open it only in a program that you trust with it."),
               shown=_has_original),
    )  # fmt: skip

    @staticmethod
    def cell_reason(mail: InboundMail) -> str:
        return f"<span class=soft>{esc(inbound.told(mail.reason))}</span>" if mail.reason else ""

    def waiting(self) -> Select[Any]:
        return select(InboundMail.id).where(InboundMail.state == InboundState.ASIDE)

    def news(self, staff_id: int) -> tuple[News, ...]:
        aside = (InboundMail.state == InboundState.ASIDE,)
        return (News(_("Mails that nobody could sort"), "mail", aside, InboundMail.received_at, "warn"),)

    async def above(self, session: AsyncSession, query: str) -> dict[str, Any]:
        aside = select(InboundMail.id).where(InboundMail.state == InboundState.ASIDE).limit(1000).subquery()
        n = await session.scalar(select(func.count()).select_from(aside)) or 0
        tabs = ((_("Put aside"), "state.in=aside", str(n) if n else None), (_("All"), "", None))
        return {
            "views": [
                {
                    "label": gettext(label),
                    "url": f"{self.list_url}?{params}" if params else self.list_url,
                    "current": query == params,
                    "count": count,
                }
                for label, params, count in tabs
            ]
        }

    def facts(self, obj: InboundMail) -> list[Markup | str]:
        shown: list[Markup | str] = [self.shown_id(obj), Markup("<bdi>{}</bdi>").format(obj.sender or "?")]
        return [*shown, show_moment(obj.received_at), show_bytes(obj.size)]

    async def sections(self, session: AsyncSession, obj: InboundMail, request: Request) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        if obj.reason:
            shown.append({"label": gettext("Why"), "kind": "words", "words": [inbound.told(obj.reason)]})
        body = gettext("This mail is too large to be shown here. Its original can be downloaded.")
        files: list[str] = []
        if not obj.key:
            body = gettext("The original of this mail is not kept any more.")
        elif obj.size <= LARGEST_SHOWN:
            try:
                letter = await _letter(request, obj)
                body = letter.text[: tickets.MAX_TEXT] or gettext("(The mail holds no text.)")
                files = [f"{f.name} ({show_bytes(len(f.content))})" for f in letter.files[:20]]
            except (Unreadable, FileMissing) as problem:
                body = gettext("This mail cannot be taken apart: %(why)s") % {"why": inbound.told(str(problem))}
        text = {"language": "", "title": obj.subject, "body": body}
        shown.append({"label": gettext("Text"), "kind": "text", "text": text})
        if files:
            shown.append({"label": gettext("Attachments"), "kind": "words", "words": files})
        return shown

    async def side(self, session: AsyncSession, obj: InboundMail, request: Request) -> list[dict[str, Any]]:
        def to(screen: str, pk: int, text: object) -> Markup:
            return Markup('<a href="/admin/{}/details/{}"><bdi>{}</bdi></a>').format(screen, pk, text)

        items = [
            (_("From"), obj.sender),
            (_("To"), obj.recipient),
            (_("Came by"), obj.source),
            (_("Customer"), to("customer", obj.customer.id, obj.customer) if obj.customer else ""),
            (_("Ticket"), to("ticket", obj.ticket.id, obj.ticket) if obj.ticket else ""),
            (_("Message-ID"), obj.message_id),
        ]
        shown = [{"label": gettext(label), "value": value} for label, value in items if value]
        return [{"label": gettext("Details"), "kind": "kv", "items": shown}]
