"""Rules: saving and switching them, and finding those that would set each other off for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, false, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters, i18n
from app.db import utcnow
from app.domain import checks, rights, whom
from app.domain.automation import actions, calling, fields
from app.domain.config import modules
from app.errors import Conflict, Invalid
from app.filters import FilterProblem
from app.i18n import gettext
from app.integrations import webhooks
from app.models.automation import BelowAmount, Rule, Trigger
from app.models.customers import Customer, Group
from app.models.messaging import Template
from app.models.projects import Project

_of = Rule.__table__.c
MOVES = (Trigger.JOINED, Trigger.LEFT)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _clock(value: Any) -> str:
    text = str(value or "")[:5]
    if not _CLOCK.fullmatch(text):
        raise checks.Bad(gettext("A time such as 09:30, please."))
    return text


def _watched(value: Any) -> str:
    text = str(value or "")
    if text and not fields.known(text):
        raise checks.Bad(gettext("Choose one from the list."))
    return text


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise checks.Bad(gettext("Choose one from the list."))
    if len(value) > actions.MOST:
        raise checks.Bad(gettext("At most %(n)s actions.") % {"n": actions.MOST})
    return value


FIELDS: dict[str, checks.Check] = {
    "name": checks.line(_of.name, required=True),
    "project_id": checks.row_id,
    "position": checks.whole(_of.position),
    "trigger": checks.one_of(Trigger),
    "days": lambda value: min(checks.whole(_of.days, least=1)(value), 3650),
    "hours": lambda value: min(checks.whole(_of.hours, least=1)(value), 8760),
    "amount": checks.whole(_of.amount),
    "currency": checks.currency,
    "field": _watched,
    "was": checks.line(_of.was),
    "becomes": checks.line(_of.becomes),
    "group_id": checks.row_id,
    "clock": _clock,
    "condition": whom.condition,
    "actions": _list,
}
"""What may be said of a rule. It is switched on by `switch`."""
NEEDED: dict[str, tuple[Trigger, ...]] = {
    "days": (Trigger.EXPIRING, Trigger.OVERDUE), "hours": (Trigger.WAITING,), "amount": (Trigger.BALANCE,),
    "currency": (Trigger.BALANCE,), "clock": (Trigger.DAILY,),
}  # fmt: skip
"""What only some triggers ask for; left empty for another one, it stays as it was."""
SEEN: dict[Trigger, rights.Pair] = {
    Trigger.EXPIRING: ("service", "list"), Trigger.OVERDUE: ("invoice", "list"), Trigger.BALANCE: ("account", "list"),
    Trigger.WAITING: ("ticket", "list"),
}  # fmt: skip
"""What a trigger tells of, for whoever makes or tries such a rule."""


async def save_rule(session: AsyncSession, *, values: Mapping[str, Any], rule: Rule | None = None) -> Rule:
    """Make a rule, which is off, or change one. What was and becomes mean is found by labels and names too. Raises
    Invalid with every bad field; those of an action have its place before their names, ``a2_url``."""
    wanted = checks.clean({n: v for n, v in values.items() if n not in NEEDED or not checks.empty(v)}, FIELDS)
    now = {name: wanted.get(name, getattr(rule, name) if rule is not None else None) for name in FIELDS}
    checks.refuse_for_all(rule, now)
    await checks.known(session, "project", Project, now["project_id"])
    await checks.known(session, "group", Group, now["group_id"])
    asked = [name for name, trigger in NEEDED.items() if now["trigger"] in trigger and name in values]
    missing = [name for name in asked if checks.empty(values[name])] + ([] if now["name"] else ["name"])
    wrong = {name: gettext("Please fill this in.") for name in missing}
    same = select(Rule.id).where(Rule.name == now["name"])
    taken = await session.scalar(same.execution_options(unscoped=True))
    if taken is not None and (rule is None or taken != rule.id):
        wrong["name"] = gettext("This name is taken.")
    if now["trigger"] is Trigger.CHANGED and not now["field"]:
        wrong["field"] = gettext("Please fill this in.")
    if now["trigger"] in MOVES and now["group_id"] is None:
        wrong["group"] = gettext("Please fill this in.")
    if now["trigger"] is Trigger.DAILY and now["condition"] is None:
        wrong["condition"] = gettext("Say for whom: every day for everybody is never meant.")
    for name in ("was", "becomes"):
        if now["field"] and now["trigger"] is Trigger.CHANGED and name in wanted:
            try:
                wanted[name] = now[name] = await fields.meant(session, now["field"], wanted[name], name)
            except Invalid as problem:
                wrong |= problem.fields
    if "actions" in wanted:
        wanted["actions"] = now["actions"] = await _checked(session, wanted["actions"], wrong)
        await _check_templates(session, now, wrong)
    if wanted.get("condition") not in (None, rule.condition if rule is not None else None):
        try:
            filters.parse(wanted["condition"], Customer, await rights.asking(session))
        except FilterProblem as problem:
            wrong["condition"] = str(problem)
    if wrong:
        raise Invalid(**wrong)
    await refuse_more(session, now["trigger"], now["actions"] or ())
    wanted["names"] = await names(session, now)
    if rule is None:
        rule = Rule(enabled=False)
        session.add(rule)
    if rule.id is None or {"condition", "clock"} & wanted.keys():
        wanted["zone"] = i18n.zone().key
    before = (rule.trigger, rule.amount, rule.currency, rule.project_id)
    changed = checks.change(rule, wanted)
    if (rule.trigger, rule.amount, rule.currency, rule.project_id) != before:
        rule.armed = False
    if rule.enabled and "trigger" in changed:
        rule.enabled_at = utcnow()  # what happened before is not meant
    if any(a["kind"] == "webhook" for a in rule.actions) and not rule.secret:
        rule.secret = calling.sealed(webhooks.new_secret())
    await session.flush()
    if rule.enabled:
        await refuse_circles(session, rule)
    return rule


async def _checked(
    session: AsyncSession, given: Iterable[dict[str, Any]], wrong: dict[str, str]
) -> list[dict[str, Any]]:
    found, keys = [], set()
    for n, action in enumerate(given, 1):
        try:
            made = await actions.check(session, action, f"a{action.get('row', n)}_")
        except Invalid as problem:
            wrong |= problem.fields
            continue
        if made["key"] in keys:
            made = await actions.check(session, {**action, "key": ""}, "")
        keys.add(made["key"])
        found.append(made)
    if not found and not wrong:
        wrong["a1_kind"] = gettext("Say what is to be done.")
    return found


async def _check_templates(session: AsyncSession, now: Mapping[str, Any], wrong: dict[str, str]) -> None:
    """A rule of one project sends no text of another."""
    ids = [a["template_id"] for a in now["actions"] if a["kind"] == "template"]
    if ids and now["project_id"] is not None:
        mine = select(Template.id).where(Template.id.in_(ids), actions.of_projects(now["project_id"]))
        if set(ids) - set(await session.scalars(mine)):
            wrong["project"] = gettext("A template is for another project.")


async def names(session: AsyncSession, now: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Table -> id -> name, of the rows that condition, values and actions speak of."""
    asked: dict[str, set[int]] = {}
    models: dict[str, Any] = dict(actions.REFS)
    for action in now["actions"] or ():
        for table, ids in actions.refs(action).items():
            asked.setdefault(table, set()).update(ids)
    try:
        parsed = filters.parse(now["condition"], Customer) if now["condition"] is not None else None
    except FilterProblem:  # a broken one that stays as it is
        parsed = None
    if parsed is not None:
        for model, ids in filters.refs(parsed, Customer).items():
            models[model.__tablename__] = model
            asked.setdefault(model.__tablename__, set()).update(ids)
    if now["group_id"] is not None:
        models[Group.__tablename__] = Group
        asked.setdefault(Group.__tablename__, set()).add(now["group_id"])
    if now["field"] and (pointed := fields.target_of(now["field"])) is not None:
        models[pointed.__tablename__] = pointed
        named = {int(v) for v in (now["was"], now["becomes"]) if v and v.isdecimal()}
        asked.setdefault(pointed.__tablename__, set()).update(named)
    found = {}
    for table, ids in asked.items():
        rows = await session.scalars(select(models[table]).where(models[table].id.in_(ids)))
        found[table] = {str(row.id): str(row) for row in rows}
    return found


async def switch(session: AsyncSession, *, rule: Rule, on: bool) -> Rule:
    """Put a rule into use, from now on: what happened before is not meant. Or out of it. Raises Conflict for a broken
    one, and for one that would go round in circles."""
    if on:
        await refuse_more(session, rule.trigger, rule.actions)
    if on and not rule.enabled:
        if (why := problem_of(rule)) is not None:
            raise Conflict(gettext("The condition cannot be used: %(reason)s") % {"reason": why})
        if not rule.actions:
            raise Conflict(gettext("Say what is to be done."))
        rule.enabled_at, rule.armed = utcnow(), False
    rule.enabled = on
    await session.flush()
    if on:
        await refuse_circles(session, rule)
    return rule


async def refuse_more(session: AsyncSession, trigger: Trigger | None, todo: Iterable[Mapping[str, Any]]) -> None:
    """Raise Forbidden for what the acting person may not see or do: a rule does it in their place."""
    if trigger is not None and (seen := SEEN.get(trigger)) is not None:
        await rights.need(session, [seen], str(trigger.label))
    for action in todo:
        kind = actions.KINDS[action["kind"]]
        await rights.need(session, kind.rights, gettext(kind.label))


async def new_secret(session: AsyncSession, *, rule: Rule, secret: str) -> None:
    """Sign with this one from now on. Raises Invalid at `secret`."""
    rule.secret = calling.sealed(calling.check_secret(secret))
    await session.flush()


async def enabled(session: AsyncSession, *triggers: Trigger) -> Sequence[Rule]:
    """The rules that wait for one of these, in their order; none while automation is switched off."""
    if not modules.on("automation"):
        return []
    query = select(Rule).where(Rule.enabled, Rule.trigger.in_(triggers)).order_by(Rule.position, Rule.id)
    return (await session.scalars(query.execution_options(unscoped=True))).all()


# ---- the condition --------------------------------------------------------------------------------------------------


def meets(rule: Rule) -> tuple[ColumnElement[bool], FilterProblem | None]:
    """Which customers the rule is for, as SQL, and what is wrong when it cannot be said: then it is for nobody."""
    mine: ColumnElement[bool] = Customer.merged_into_id.is_(None)
    if rule.project_id is not None:
        mine = and_(mine, Customer.project_id == rule.project_id)
    if rule.condition is None:
        return mine, None
    with i18n.speaking(i18n.language(), rule.zone):
        test, problem = filters.compile_stored(rule.condition, Customer)
    return (false(), problem) if problem is not None else (and_(mine, test), None)


def problem_of(rule: Any) -> str | None:
    """What is wrong with the condition of a rule, or with the field that it watches."""
    if rule.trigger is Trigger.CHANGED and not fields.known(rule.field):
        return gettext("There is no field “%(name)s” here.") % {"name": rule.field}
    if rule.trigger in MOVES and rule.group_id is None:
        return gettext("There is no such group any more.")
    if rule.condition is None:
        return None
    problem = filters.compile_stored(rule.condition, Customer)[1]
    return None if problem is None else str(problem)


# ---- circles --------------------------------------------------------------------------------------------------------


def sets_off(one: Rule, other: Rule) -> bool:
    """Whether doing the one changes what the other waits for."""
    if other.trigger in MOVES:
        return _moves(one, other)
    if other.trigger is not Trigger.CHANGED:
        return False
    for action in one.actions:
        if action["kind"] != "set" or action["field"] != other.field:
            continue
        value = fields.plain(action["value"])
        if other.becomes and other.becomes != value:
            continue
        if one is other and (other.becomes or other.was == value):
            continue  # it has this value already, or comes from it: nothing changes
        return True
    return False


def _moves(one: Rule, other: Rule) -> bool:
    """Whether the one lets customers join, or leave, the group that the other waits for. Who has just joined joins
    only after leaving."""
    joins, inside = other.trigger is Trigger.JOINED, None
    if one.group_id == other.group_id and one.trigger in MOVES:
        inside = one.trigger is Trigger.JOINED
    for action in one.actions:
        if action["kind"] in ("join", "leave") and action["group_id"] == other.group_id:
            was, inside = inside, action["kind"] == "join"
            if inside is joins and was is not inside:
                return True
    return False


async def circle(session: AsyncSession, rule: Rule) -> list[Rule]:
    """The rules in use that lead from this one back to it, the rule first; empty when there are none."""
    others = [other for other in await enabled(session, *Trigger) if other.id != rule.id]
    known = [rule, *others]
    paths: list[list[Rule]] = [[rule]]
    seen = set[int]()
    while paths:
        path = paths.pop(0)
        for following in known:
            if not sets_off(path[-1], following):
                continue
            if following is rule:
                return path
            if following.id not in seen:
                seen.add(following.id)
                paths.append([*path, following])
    return []


async def refuse_circles(session: AsyncSession, rule: Rule) -> None:
    """Raise Conflict for rules that set each other off."""
    if found := await circle(session, rule):
        raise Conflict(say_circle(found))


def say_circle(found: Sequence[Rule]) -> str:
    path = " → ".join(one.name for one in (*found, found[0]))
    return gettext("These rules would go round in circles: %(path)s") % {"path": path}


async def forget_balances(session: AsyncSession, rule: Rule) -> None:
    statement = delete(BelowAmount).where(BelowAmount.rule_id == rule.id)
    await session.execute(statement.execution_options(synchronize_session=False))
