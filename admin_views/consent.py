"""Who wants which messages, on the customer's card; and the addresses to which nothing is sent."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import StringField, TextAreaField, validators

from admin_views.base import AppForm, AppView, Button, Done, Flow, Press
from admin_views.base.cells import esc
from admin_views.base.fields import ListField, plain
from app.domain.messaging import consent, suppression
from app.domain.messaging.consent import Key
from app.i18n import _, gettext, language, ngettext, show_date
from app.models.consent import How, Subscription, Suppression, Why
from app.models.messaging import Channel


class Subscriptions(AppView, model=Subscription):
    name, name_plural, icon, category = _("Subscription"), _("Subscriptions"), "mail-check", ""
    purpose = _("Which messages customers want, and since when: every choice is kept.")
    readonly = True
    can_create = can_edit = can_delete = can_view_details = False

    @staticmethod
    def cell_user_id(row: Subscription) -> str:
        return (
            f"<bdi>{esc(row.user)}</bdi>" if row.user else f'<span class="faint">{esc(gettext("own address"))}</span>'
        )

    def row_label(self, obj: Subscription) -> str:
        return f"{obj.customer}, {obj.category}"


class ChoiceForm(AppForm):
    note = StringField(
        _("How did they tell you?"),
        [validators.InputRequired(), validators.Length(max=500), plain],
        description=_("For example: by phone on Monday, ticket 1234. It is kept as the proof."),
        render_kw={"data-wide": "1"},
    )


class ChoiceFlow(Flow):
    """One section for each recipient of the customer, one line for each category."""

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        fields: dict[str, Any] = {}
        values: dict[str, list[str]] = {}
        groups: list[dict[str, Any]] = []
        targets: dict[str, tuple[int | None, int]] = {}
        for person in await consent.recipients(press.session, press.one):
            names: list[str] = []
            for line in await consent.chosen(press.session, customer_id=press.one.id, user_id=person.user_id):
                name = f"c{person.user_id or 0}_{line.category.id}"
                if name not in targets:
                    targets[name] = person.user_id, line.category.id
                    names.append(name)
                    values[name] = []
                    fields[name] = line.category.name_in(language()), []
                if line.wanted:
                    values[name].append(line.channel.value)
                if line.since is not None:
                    fields[name][1].append(f"{line.channel.label}: {show_date(line.since)}")
            label = f"{person.name} ({person.address})" if person.address else person.name
            groups.append({"label": label, "help": None, "fields": names, "more": False})
        channels = [(c.value, str(c.label)) for c in Channel]
        made = {
            name: ListField(label, choices=channels, description=" · ".join(said))
            for name, (label, said) in fields.items()
        }
        form = cast(Any, type("ChoiceOfForm", (ChoiceForm,), made)(posted, data=values))
        form.targets, form.sections = targets, groups
        return cast(AppForm, form)

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        if not cast(Any, form).targets:
            return [{"label": None, "help": gettext("No category can be chosen by customers."), "fields": ["note"]}]
        proof = {"label": None, "help": None, "fields": ["note"], "more": False}
        return [*cast(Any, form).sections, proof]

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        wanted: dict[int | None, dict[Key, bool]] = {}
        for name, (user_id, category_id) in cast(Any, form).targets.items():
            for channel in Channel:
                wanted.setdefault(user_id, {})[category_id, channel] = channel.value in (form.data[name] or ())
        n = 0
        for user_id, choices in wanted.items():
            n += len(
                await consent.choose(
                    session, customer_id=press.one.id, user_id=user_id, wanted=choices, how=How.STAFF,
                    note=form.data["note"],
                )
            )  # fmt: skip
        return Done(ngettext("%(n)s choice is changed.", "%(n)s choices are changed.", n) % {"n": n})


CONSENT = Button(
    "consent",
    _("Choose messages"),
    "mail-check",
    on=frozenset({"card"}),
    flow=ChoiceFlow(),
    grant="edit",
    more=True,
    lede=_("Only what the customer has told you. Messages that belong to the service cannot be refused."),
    submit=_("Save"),
)


class LiftForm(AppForm):
    reason = TextAreaField(
        _("Why do mails go there again?"),
        [validators.InputRequired(), validators.Length(max=500), plain],
        render_kw={"rows": 3, "autofocus": True},
    )


async def lift(session: AsyncSession, chosen: list[Suppression], *, reason: str) -> str:
    for row in chosen:
        await suppression.lift(session, suppression_id=row.id, reason=reason)
    return gettext("Mails go to this address again.")


class Suppressions(AppView, model=Suppression):
    name, name_plural, icon, category = _("Suppressed address"), _("Suppressed addresses"), "mail-off", "Messages"
    purpose = _("Addresses to which nothing is sent: mails came back, or you have entered them.")
    create_label = _("Suppress an address")
    search_hint = _("Address")
    can_edit = can_delete = False
    leave_out = ("why", "since", "staff_id", "lifted_at", "lifted_by_id", "lift_reason")
    related = ()
    buttons = (
        Button(
            "lift",
            _("Send there again"),
            "mail-check",
            on=frozenset({"row", "card"}),
            verb=lift,
            form=LiftForm,
            grant="create",
            shown=lambda s: s.lifted_at is None,
            lede=_("If it comes back again, it is suppressed again."),
        ),
    )

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        return await suppression.suppress(
            session, address=values["address"], why=Why.STAFF, detail=values["detail"] or ""
        )


__all__ = ["CONSENT", "Subscriptions", "Suppressions"]
