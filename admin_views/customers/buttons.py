"""What can be done with customers besides creating, editing and deleting."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, TextAreaField, validators

from admin_views.base import AppForm, Button, Done, Flow, LookupField, Press
from admin_views.base.bulk import ActFlow, ManyFlow, began
from admin_views.base.export import chosen_by
from admin_views.base.fields import plain
from admin_views.billing.taking import TAKE_PAYMENT
from admin_views.consent import CONSENT
from admin_views.customers.clearing import CLEAR
from admin_views.customers.merging import MERGE, UNMERGE
from admin_views.impersonation import ENTER
from admin_views.messaging.compose import SEND
from admin_views.messaging.segments import SAVE
from app.domain import customers
from app.domain.bulk.editing import add_edit
from app.errors import NotFound
from app.i18n import _, gettext, ngettext
from app.models.customers import Customer, CustomerStatus, Membership


class PinFlow(Flow):
    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        ids = ",".join(str(c.id) for c in press.objects[:100])
        said = ngettext(
            "The panel now shows only this customer.",
            "The panel now shows only these %(n)s customers.",
            len(press.objects),
        )
        return Done(said % {"n": len(press.objects)}, url=f"/admin/customer/list?pin={ids}")


class NoteForm(AppForm):
    text = TextAreaField(
        _("Note"), [validators.InputRequired(), validators.Length(max=20_000), plain], render_kw={"autofocus": True}
    )
    sticky = BooleanField(_("Keep on top"), description=_("A sticky note stands first on the card."))


async def write_note(session: AsyncSession, chosen: list[Customer], *, text: str, sticky: bool) -> str:
    for customer in chosen:
        await customers.add_note(session, customer=customer, text=text, sticky=sticky)
    return gettext("The note is written.")


class GroupForm(AppForm):
    groups = LookupField(_("Groups"), [validators.InputRequired()], target="customer_group", multiple=True)


class GroupFlow(ManyFlow):
    """Those who are chosen are put in at once, all that match in the background."""

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done | str:
        groups = form.data["groups"]
        if press.asked is None:
            return await join_groups(session, press.objects, groups=groups)
        rows, query = chosen_by(press)
        name = f"{press.view.name_plural}: {press.button.label}"
        add = {"groups": groups}
        return began(await add_edit(session, noun=press.view.identity, rows=rows, query=query, name=name, add=add))


async def join_groups(session: AsyncSession, chosen: list[Customer], *, groups: list[int]) -> str:
    if not chosen:
        raise NotFound(_("Nothing is chosen, or it does not exist any more."))
    for customer in chosen:
        present = await session.scalars(select(Membership.group_id).where(Membership.customer_id == customer.id))
        await customers.set_groups(session, customer=customer, groups={*present, *groups})
    n = len(chosen)
    return ngettext("%(n)s customer is in the group now.", "%(n)s customers are in the group now.", n) % {"n": n}


async def suspend(session: AsyncSession, chosen: list[Customer]) -> str:
    for customer in chosen:
        await customers.suspend_customer(session, customer=customer)
    return gettext("Suspended.")


async def close(session: AsyncSession, chosen: list[Customer]) -> str:
    for customer in chosen:
        await customers.close_customer(session, customer=customer)
    return gettext("Closed.")


async def reopen(session: AsyncSession, chosen: list[Customer]) -> str:
    for customer in chosen:
        await customers.reopen_customer(session, customer=customer)
    return gettext("Open again.")


CARD = frozenset({"card"})


BUTTONS = (
    SEND,
    SAVE,
    ENTER,
    TAKE_PAYMENT,
    Button(
        "pin",
        _("Filter by customer"),
        "pin",
        on=frozenset({"row", "card", "selection"}),
        flow=PinFlow(),
        grant="list",
        more=True,
        lede=_("Every screen of the panel then shows only what belongs to them, until you remove the filter."),
        submit=_("Filter by customer"),
    ),
    Button(
        "note",
        _("Write a note"),
        "pencil",
        on=CARD,
        verb=write_note,
        form=NoteForm,
        submit=_("Save the note"),
        more=True,
    ),
    CONSENT,
    Button(
        "groups",
        _("Add to groups"),
        "users-group",
        on=frozenset({"selection", "card"}),
        flow=GroupFlow(),
        form=GroupForm,
        grant="edit",
        more=True,
    ),
    Button(
        "suspend",
        _("Suspend"),
        "player-pause",
        on=CARD,
        verb=suspend,
        more=True,
        lede=_("A stop for now: the services stay as they are, and the account can be opened again."),
        shown=lambda c: c.status in (CustomerStatus.ACTIVE, CustomerStatus.NEW),
    ),
    Button(
        "close",
        _("Close the account"),
        "lock",
        on=CARD,
        verb=close,
        more=True,
        lede=_("Ends the relation and keeps everything. What still runs has to be closed first."),
        danger=True,
        shown=lambda c: c.status is not CustomerStatus.CLOSED,
    ),
    Button(
        "close_several",
        _("Close the accounts"),
        "lock",
        on=frozenset({"selection"}),
        flow=ActFlow("close"),
        grant="action:close",
        more=True,
        lede=_("You then see who can be closed and who cannot, before anything is done."),
        submit=_("Look at the changes"),
    ),
    Button(
        "reopen",
        _("Open the account again"),
        "lock-open",
        on=CARD,
        verb=reopen,
        more=True,
        lede=_("From then on the status follows the services again."),
        shown=lambda c: c.status in (CustomerStatus.SUSPENDED, CustomerStatus.CLOSED),
    ),
    MERGE,
    UNMERGE,
    CLEAR,
)
