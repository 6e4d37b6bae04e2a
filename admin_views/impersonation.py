"""Entering a customer's panel: a reason, then the client area as that customer."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, PasswordField, StringField, TextAreaField, validators

from admin_views.access import may
from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.fields import plain
from app import cookies
from app.domain import brands, door, impersonation
from app.i18n import _, gettext
from app.models.customers import CustomerStatus


class EnterForm(AppForm):
    reason = TextAreaField(
        _("Reason"),
        [validators.InputRequired(), validators.Length(3, 500), plain],
        description=_("It stands in the audit, and the customer may see it. A ticket number is best."),
        render_kw={"rows": 3, "autofocus": True},
    )


ACTING = BooleanField(
    _("I need to change something"),
    description=_("Otherwise you can only look. Password and e-mail stay closed in any case."),
)
CODE = StringField(
    _("Code from the customer"),
    [validators.InputRequired(), validators.Length(max=20), plain],
    description=_("They make it in their client area. It opens their account once."),
    render_kw={"autocomplete": "off", "inputmode": "numeric"},
)
PASSWORD = PasswordField(
    _("Your password"),
    [validators.InputRequired(), validators.Length(max=200)],
    description=_("You signed in long ago. Please give it once more; nothing else is lost."),
    render_kw={"autocomplete": "current-password"},
)


class EnterFlow(Flow):
    """Asks besides for what this entry needs: leave to act, the customer's code, the password when the sign-in is old.
    What gets too old between form and POST is asked for then, with all that was typed."""

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        fields: dict[str, Any] = {}
        if may(press.request, *impersonation.ACT):
            fields["act"] = ACTING
        brand = await brands.brand(press.one.project_id)
        if brand is not None and brand.visits_by_code:
            fields["code"] = CODE
        if await impersonation.needs_password(press.session, **_session(press), fresh_minutes=_minutes(press)):
            fields["password"] = PASSWORD
        return cast(AppForm, type("EnterForm", (EnterForm,), fields)(posted))

    async def before(self, press: Press, form: AppForm) -> None:
        if "password" in form and form.data["password"]:
            staff_id: int = press.request.session["staff_id"]
            await impersonation.prove(staff_id=staff_id, **_session(press), password=form.data["password"])
        if "code" in form and form.data["code"]:
            await door.count_try(customer_id=press.one.id)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        customer = press.one
        token = await impersonation.enter(
            session,
            **_session(press),
            customer_id=customer.id,
            reason=form.data["reason"],
            may_act=bool(form.data.get("act")),
            code=form.data.get("code") or "",
            fresh_minutes=_minutes(press),
        )
        cookies.put(press.request.scope, cookies.VISIT, token)
        return Done(gettext("You are in the panel of %(name)s.") % {"name": customer.name}, url="/client/")


def _session(press: Press) -> dict[str, int]:
    return {"staff_session_id": press.request.session["session_id"]}


def _minutes(press: Press) -> int:
    minutes: int = press.request.app.state.settings.enter_minutes
    return minutes


ENTER = Button(
    "enter",
    _("Enter as customer"),
    "login-2",
    flow=EnterFlow(),
    submit=_("Enter"),
    lede=_("You will see their panel as they see it, for at most 30 minutes."),
    shown=lambda customer: customer.status is not CustomerStatus.CLOSED,
)
