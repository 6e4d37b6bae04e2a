"""Entering a customer's panel: a reason, then the client area as that customer."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, TextAreaField, validators

from admin_views.access import may
from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.fields import plain
from app import cookies
from app.domain import impersonation
from app.i18n import _, gettext
from app.models.customers import CustomerStatus


class EnterForm(AppForm):
    reason = TextAreaField(
        _("Reason"),
        [validators.InputRequired(), validators.Length(3, 500), plain],
        description=_("It stands in the audit, and the customer may see it. A ticket number is best."),
        render_kw={"rows": 3, "autofocus": True},
    )


class ActingForm(EnterForm):
    act = BooleanField(
        _("I need to change something"),
        description=_("Otherwise you can only look. Password and e-mail stay closed in any case."),
    )


class EnterFlow(Flow):
    async def build(self, press: Press, posted: Any = None) -> AppForm:
        return (ActingForm if may(press.request, *impersonation.ACT) else EnterForm)(posted)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        customer = press.one
        token = await impersonation.enter(
            session,
            staff_session_id=press.request.session["session_id"],
            customer_id=customer.id,
            reason=form.data["reason"],
            may_act=bool(form.data.get("act")),
        )
        cookies.put(press.request.scope, cookies.VISIT, token)
        return Done(gettext("You are in the panel of %(name)s.") % {"name": customer.name}, url="/client/")


ENTER = Button(
    "enter",
    _("Enter as customer"),
    "login-2",
    flow=EnterFlow(),
    submit=_("Enter"),
    lede=_("You will see their panel as they see it, for at most 30 minutes."),
    shown=lambda customer: customer.status is not CustomerStatus.CLOSED,
)
