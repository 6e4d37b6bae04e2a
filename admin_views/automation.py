"""Rules and their log: in plain words, tried over what is there, switched on and off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from markupsafe import Markup
from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from starlette.requests import Request
from wtforms import StringField, validators
from wtforms.fields.core import UnboundField

from admin_views import automation_form as rows
from admin_views.access import filterable, may
from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press, Related
from admin_views.base.cells import badge, esc, link, ready
from admin_views.base.fields import plain
from admin_views.base.news import News, lately
from admin_views.whom import for_whom
from app import db, filters
from app.db import Choice
from app.domain import automation
from app.domain.automation import fields, trying, words
from app.domain.checks import kept_for_all
from app.domain.whom import entered
from app.errors import Invalid, NotFound
from app.i18n import _, gettext, ngettext, show_number
from app.integrations import webhooks
from app.models import scope
from app.models.automation import Rule, RuleNotice, RuleRun, RunState
from app.models.customers import Customer

CARD = frozenset({"card"})


class Standing(Choice):
    """How a rule stands, as it is shown."""

    ON = "active", _("In use")
    OFF = "closed", _("Not in use")
    BROKEN = "broken", _("Broken")


def standing(rule: Any) -> Standing:
    if automation.problem_of(rule) is not None:
        return Standing.BROKEN
    return Standing.ON if rule.enabled else Standing.OFF


# ---- trying -----------------------------------------------------------------------------------------------------


class TryForm(AppForm):
    customer = LookupField(
        _("Customer"), [validators.Optional()], target="customer",
        description=_("For one customer: whether the condition is met, and which parts of it."),
    )  # fmt: skip


class TryFlow(Flow):
    """Shows whom a rule meets and what it would do; changes nothing."""

    template = "sqladmin/automation_try.html"
    look_template: ClassVar[str] = "sqladmin/automation_look.html"
    form = TryForm

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        return {"look": await look(press, form.data.get("customer"))}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        if (hidden := hidden_from(press.request, press.one)) is not None:
            return Done(hidden, kind="warn")
        return Done((await trying.preview(session, press.one)).said)


class SwitchOnFlow(TryFlow):
    """The same before a rule is put into use."""

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        await automation.switch(session, rule=press.one, on=True)
        return Done(gettext("The rule is in use from now on."))


def hidden_from(request: Request, rule: Rule) -> str | None:
    """Why somebody is not told whom the rule meets: the answer would tell of rows that they may not list."""
    if not may(request, "customer", "list"):
        return gettext("Your role does not show customers.")
    seen = automation.SEEN.get(rule.trigger)
    asks = rule.condition is not None and automation.problem_of(rule) is None
    if (seen is None or may(request, *seen)) and not (asks and not may_ask(rule.condition)):
        return None
    return gettext("This rule asks for rows that you may not see.")


def may_ask(condition: Any) -> bool:
    """Whether the person who asks now may filter by all of this."""
    try:
        filters.parse(condition, Customer, filterable)
    except filters.FilterProblem:
        return False
    return True


async def look(press: Press, customer_id: int | None) -> dict[str, Any]:
    """What automation_look.html shows."""
    rule, session = press.one, press.session
    shown: dict[str, Any] = {"label": gettext("What it would do"), "sentence": words.sentence(rule), "sample": [],
                             "said": "", "problem": None, "why": None}  # fmt: skip
    if (hidden := hidden_from(press.request, rule)) is not None:
        return {**shown, "said": hidden}
    seen = await db.kept().of(
        ("dry run", rule.id, rule.version, scope.whose()), lambda: trying.preview(session, rule), 10
    )  # fmt: skip
    shown |= {"said": seen.said, "problem": seen.problem, "sample": [
        {"url": f"/admin/customer/details/{m.customer_id}" if may(press.request, "customer", "details") else None,
         "name": m.name, "event": m.event, "would": m.would} for m in seen.sample
    ]}  # fmt: skip
    if customer_id is not None and may(press.request, "customer", "details"):
        try:
            shown["why"] = await trying.why(session, rule, customer_id)
        except NotFound:
            shown["why"] = None
    return shown


# ---- the secret -------------------------------------------------------------------------------------------------


class SecretForm(AppForm):
    secret = StringField(
        _("Secret"), [validators.InputRequired(), validators.Length(max=120), plain],
        description=_("Copy it to the other side now: it is not shown again."),
        render_kw={"autocomplete": "off", "spellcheck": "false", "class": "mono", "data-wide": "1"},
    )  # fmt: skip


class SecretFlow(Flow):
    """Offers a new secret, once; it counts when the form is sent."""

    form = SecretForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        return SecretForm(posted) if posted is not None else SecretForm(data={"secret": webhooks.new_secret()})

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        await automation.new_secret(session, rule=press.one, secret=form.data["secret"])
        return Done(gettext("Calls are signed with this secret from now on."))


def _calls(rule: Any) -> bool:
    return any(action["kind"] == "webhook" for action in rule.actions)


async def switch_off(session: AsyncSession, chosen: list[Rule]) -> str:
    for rule in chosen:
        await automation.switch(session, rule=rule, on=False)
    return gettext("The rule is not in use any more.")


# ---- rules ------------------------------------------------------------------------------------------------------


class Rules(AppView, model=Rule):
    name, name_plural, icon, category = _("Rule"), _("Rules"), "robot", "Configuration"
    purpose = _("When something happens to a customer, something is done by itself.")
    help = _("A new rule is not in use. Try it first, then switch it on.")
    summed = False
    columns = ("name", "trigger", "enabled", "project_id")
    leave_out = ("enabled", "enabled_at")
    needs = ("days", "hours", "amount", "currency", "field", "was", "becomes", "group_id", "clock", "condition",
             "actions", "names", "trigger")  # fmt: skip
    related = (Related("automation_run", _("Log")),)
    buttons = (
        Button("enable", _("Switch on"), "player-play", on=CARD, flow=SwitchOnFlow(), primary=True,
               grant="action:switch", shown=lambda rule: not rule.enabled,
               lede=_("From now on: what happened before is not meant.")),
        Button("disable", _("Switch off"), "player-pause", on=CARD, verb=switch_off, grant="action:switch",
               shown=lambda rule: rule.enabled, lede=_("What is due already is left out too.")),
        Button("try", _("Try it"), "wand", on=frozenset({"card", "row"}), flow=TryFlow(), submit=_("Say it again"),
               lede=_("Whom the rule meets, and what it would do. Nothing is changed.")),
        Button("secret", _("New secret"), "key", on=CARD, flow=SecretFlow(), more=True, shown=_calls,
               submit=_("Use this secret"),
               lede=_("What the calls of this rule are signed with. The one before does not count any more.")),
    )  # fmt: skip

    @staticmethod
    def cell_trigger(rule: Any) -> str:
        return esc(words.sentence(rule))

    @staticmethod
    def cell_enabled(rule: Any) -> str:
        return badge(standing(rule))

    def badge(self, obj: Rule) -> Markup:
        return ready(badge(standing(obj)))

    # ---- the form

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        copied = _("Its filter is copied; later changes of the segment do not change the rule.")
        return {**for_whom(copied), **rows.fields_of(obj)}

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        shown = {"condition": obj.condition}
        if obj.field:  # a value stands in the form as people call it
            names = words.names_for_reader(obj.names)
            shown |= {name: fields.shown(obj.field, getattr(obj, name), names) for name in ("was", "becomes")}
        return {**shown, **rows.shown(obj)}

    async def form_context(self, session: AsyncSession, obj: Any, form: Any) -> dict[str, Any]:
        return {"groups": rows.groups(form, obj)}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Rule:
        values = await entered(session, values, obj)
        values["actions"] = rows.taken(values)
        try:
            return await automation.save_rule(session, values=values, rule=obj)
        except Invalid as problem:
            raise rows.placed(problem) from None

    async def attached(self, session: AsyncSession, obj: Rule) -> list[Mapping[str, Any]]:
        n = await session.scalar(select(func.count()).select_from(RuleRun).where(RuleRun.rule_id == obj.id))
        return (
            [{"label": gettext("Its log"), "n": n, "url": f"{self.card_url(obj.id)}?tab=automation_run"}] if n else []
        )

    async def refusals(self, session: AsyncSession, obj: Rule) -> list[str]:
        return kept_for_all(obj)

    # ---- the card

    async def sections(self, session: AsyncSession, obj: Rule, request: Request) -> list[dict[str, Any]]:
        said = [words.sentence(obj)]
        if (problem := automation.problem_of(obj)) is not None:
            said.append(gettext("The condition cannot be used: %(reason)s") % {"reason": problem})
            said.append(gettext("Until it is mended, the rule does nothing."))
        elif round_ := await automation.circle(session, obj):
            said.append(automation.say_circle(round_))
        if _calls(obj):
            said.append(gettext("Calls are signed. To check them, the other side needs a secret: make a new one here."))
        made: list[dict[str, Any]] = [{"label": gettext("What it does"), "kind": "words", "words": said}]
        counted = await self._counted(session, obj) if may(request, "automation_run", "list") else []
        if counted:
            made.append({"label": gettext("Log"), "kind": "kv", "items": counted})
        return made

    async def _counted(self, session: AsyncSession, obj: Rule) -> list[dict[str, Any]]:
        """How its runs of the kept time ended."""

        async def count() -> list[tuple[RunState, int]]:
            rows_ = select(RuleRun.state, func.count()).where(RuleRun.rule_id == obj.id).group_by(RuleRun.state)
            return [(row[0], row[1]) for row in await session.execute(rows_)]

        found = await db.kept().of(("runs of a rule", obj.id, scope.whose()), count, 10)
        return [{"label": str(state.label), "value": show_number(n)} for state, n in sorted(found)]


# ---- the log ----------------------------------------------------------------------------------------------------


async def again(session: AsyncSession, chosen: list[RuleRun]) -> str:
    for run in chosen:
        await automation.again(session, run_id=run.id)
    said = ngettext("%(n)s is done again.", "%(n)s are done again.", len(chosen))
    return said % {"n": show_number(len(chosen))}


class RuleRuns(AppView, model=RuleRun):
    name, name_plural, icon, category = _("Event of a rule"), _("Log of rules"), "history-toggle", "Configuration"
    purpose = _("What rules have done, for whom and why. It is kept for 90 days.")
    readonly = True
    can_create = can_edit = can_delete = False
    leave_out = ("event", "done")
    needs = ("event", "done", "reason", "state")
    filter_first = ("rule", "state", "customer")
    buttons = (
        Button("again", _("Do it again"), "refresh", on=frozenset({"card", "selection"}), verb=again,
               shown=lambda run: run.state is RunState.FAILED,
               lede=_("Only what has failed. What is done stays as it is.")),
    )  # fmt: skip

    def news(self, staff_id: int) -> tuple[News, ...]:
        told = exists().where(RuleNotice.run_id == RuleRun.id, RuleNotice.staff_id == staff_id)
        recent = RuleRun.at > lately()
        return (News(_("Rules tell you"), "robot", (told, recent), RuleRun.at, hint="customer_id"),)

    @staticmethod
    def cell_event(run: Any) -> str:
        return esc(words.event(run.event or {}, {}))

    @staticmethod
    def cell_done(run: Any) -> str:
        return esc(words.all_done(run))

    def row_label(self, obj: Any) -> str:
        told = [t["note"] for t in (obj.done or {}).values() if t.get("what") == "told" and t.get("note")]
        return told[0] if told else words.all_done(obj)

    def title(self, obj: RuleRun) -> str:
        return str(obj.rule or f"#{obj.id}")

    def card_options(self) -> list[Any]:
        return [joinedload(RuleRun.rule), joinedload(RuleRun.customer)]

    async def sections(self, session: AsyncSession, obj: RuleRun, request: Request) -> list[dict[str, Any]]:
        names = words.names_for_reader(obj.rule.names) if obj.rule is not None else {}
        items = [{"label": gettext("Event"), "value": words.event(obj.event, names)}]
        if obj.customer is not None:
            shown = obj.customer.name
            known = ready(link("customer", obj.customer.id, shown)) if may(request, "customer", "details") else shown
            items.insert(0, {"label": gettext("Customer"), "value": known})
        if obj.rule is not None:
            rule = obj.rule.name
            known = (
                ready(link("automation_rule", obj.rule.id, rule))
                if may(request, "automation_rule", "details")
                else rule
            )
            items.append({"label": gettext("Rule"), "value": known})
        if why := words.reason(obj):
            items.append({"label": gettext("Reason"), "value": why})
        made: list[dict[str, Any]] = [{"label": gettext("What happened"), "kind": "kv", "items": items}]
        kept = (obj.held or {}).get("condition")
        held = [(gettext("yes") if holds else gettext("no"), text) for text, holds in words.leaves(obj, names)]
        if held and may_ask(kept):
            made.append({"label": gettext("Condition"), "kind": "table", "rows": [list(line) for line in held],
                         "columns": [gettext("Holds"), gettext("Condition")], "rest": None})  # fmt: skip
        if obj.done:
            said = [words.done(told) for told in obj.done.values()]
            made.append({"label": gettext("What was done"), "kind": "words", "words": said})
        return made
