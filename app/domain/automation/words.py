"""Rules, events and what was done, in plain words of the reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from app import filters
from app.db import model_of
from app.domain.automation import fields
from app.filters import FilterProblem
from app.i18n import _, gettext, ngettext, say_money, show_date, show_moment, show_number
from app.models.automation import RuleRun, RunState, Trigger
from app.models.customers import Customer
from app.observe import actor

Names = Mapping[str, Mapping[str, str]]
"""Table -> id -> name."""
HIDDEN = ("project", "customer")
"""Tables whose names staff who are limited to projects do not learn from a rule."""


def names_for_reader(names: Names) -> dict[str, dict[str, str]]:
    """The names that a rule keeps, without those that the reader must not see."""
    mine = actor.get().projects
    known = {table: dict(rows) for table, rows in names.items()}
    if mine is not None:
        known["project"] = {pk: name for pk, name in known.get("project", {}).items() if int(pk) in mine}
        known.pop("customer", None)
    return known


# ---- a rule -----------------------------------------------------------------------------------------------------


def sentence(rule: Any) -> str:
    """When, if, then."""
    names = names_for_reader(rule.names or {})
    todo = ", ".join(do(action, names) for action in rule.actions) or gettext("nothing yet")
    said = {"when": when(rule, names), "if": condition(rule.condition, names), "do": todo}
    return (gettext("%(when)s, if %(if)s: %(do)s") if said["if"] else gettext("%(when)s: %(do)s")) % said


def when(rule: Any, names: Names) -> str:
    match rule.trigger:
        case Trigger.REGISTERED:
            return gettext("When a customer is registered")
        case Trigger.CHANGED:
            return _when_changed(rule, names)
        case Trigger.JOINED:
            return gettext("When a customer joins the group %(name)s") % {"name": rule.group_name}
        case Trigger.LEFT:
            return gettext("When a customer leaves the group %(name)s") % {"name": rule.group_name}
        case Trigger.EXPIRING:
            said = ngettext(
                "%(n)s day before a service expires", "%(n)s days before a service expires", rule.days
            )  # fmt: skip
            return said % {"n": show_number(rule.days)}
        case Trigger.OVERDUE:
            said = ngettext(
                "When an invoice is overdue for %(n)s day", "When an invoice is overdue for %(n)s days", rule.days
            )
            return said % {"n": show_number(rule.days)}
        case Trigger.WAITING:
            said = ngettext(
                "When a ticket has waited for %(n)s hour", "When a ticket has waited for %(n)s hours", rule.hours
            )
            return said % {"n": show_number(rule.hours)}
        case Trigger.BALANCE:
            return gettext("When a balance falls below %(amount)s") % {"amount": say_money(rule.amount, rule.currency)}
    return gettext("Every day at %(time)s") % {"time": rule.clock}


def _when_changed(rule: Any, names: Names) -> str:
    said = {
        "field": fields.label(rule.field), "was": fields.shown(rule.field, rule.was, names),
        "now": fields.shown(rule.field, rule.becomes, names),
    }  # fmt: skip
    if rule.was and rule.becomes:
        return gettext("When %(field)s changes from %(was)s to %(now)s") % said
    if rule.becomes:
        return gettext("When %(field)s becomes %(now)s") % said
    if rule.was:
        return gettext("When %(field)s is not %(was)s any more") % said
    return gettext("When %(field)s changes") % said


def condition(data: Any, names: Names) -> str:
    """The condition in words; empty for none, and why it cannot be used when it is broken."""
    if data is None:
        return ""
    try:
        return filters.say(filters.parse(data, Customer), Customer, by_model(names))
    except FilterProblem:
        return gettext("(a condition that cannot be used)")


def by_model(names: Names) -> dict[Any, dict[int, str]]:
    known = {model_of(table): {int(pk): name for pk, name in rows.items()} for table, rows in names.items()}
    return {model: rows for model, rows in known.items() if model is not None}


def do(action: Mapping[str, Any], names: Names) -> str:
    """What an action does, as a part of a sentence."""

    def named(table: str, key: str) -> str:
        return names.get(table, {}).get(str(action.get(key)), f"#{action.get(key)}")

    match action["kind"]:
        case "template":
            return gettext("send “%(name)s”") % {"name": named("message_template", "template_id")}
        case "join":
            return gettext("add to the group %(name)s") % {"name": named("customer_group", "group_id")}
        case "leave":
            return gettext("take out of the group %(name)s") % {"name": named("customer_group", "group_id")}
        case "ticket":
            return gettext("open the ticket “%(name)s”") % {"name": action["subject"]}
        case "notify":
            who = [named(t, f"{t}_id") for t in ("staff", "role") if action.get(f"{t}_id") is not None]
            return gettext("tell %(name)s") % {"name": ", ".join(who)}
        case "webhook":
            return gettext("call %(name)s") % {"name": urlsplit(action["url"]).hostname or action["url"]}
        case "set":
            said = {"field": fields.label(action["field"]),
                    "value": fields.shown(action["field"], fields.plain(action["value"]), names)}  # fmt: skip
            return (gettext("set %(field)s to %(value)s") if said["value"] else gettext("empty %(field)s")) % said
    return str(action["kind"])


# ---- an event ---------------------------------------------------------------------------------------------------


def event(what: Mapping[str, Any], names: Names) -> str:
    match what.get("what"):
        case "registered":
            return gettext("was registered")
        case "changed":
            field = str(what.get("field", ""))
            said = {
                "field": fields.label(field),
                "was": fields.shown(field, str(what.get("was", "")), names) or "–",
                "now": fields.shown(field, str(what.get("now", "")), names) or "–",
            }
            return gettext("%(field)s: %(was)s → %(now)s") % said
        case "joined":
            return gettext("joined the group %(name)s") % {"name": what["name"]}
        case "left":
            return gettext("left the group %(name)s") % {"name": what["name"]}
        case "expiring":
            return gettext("%(name)s expires on %(day)s") % {"name": what["name"], "day": _day(what["on"])}
        case "overdue":
            return gettext("invoice %(name)s was due on %(day)s") % {"name": what["name"], "day": _day(what["on"])}
        case "waiting":
            since = show_moment(datetime.fromisoformat(what["since"]))
            return gettext("ticket “%(name)s” waits since %(when)s") % {"name": what["name"], "when": since}
        case "balance":
            return gettext("balance %(amount)s") % {"amount": say_money(what["balance"], what["currency"])}
        case "daily":
            return gettext("on %(day)s") % {"day": _day(what["on"])}
    return ""


def _day(text: str) -> str:
    return show_date(date.fromisoformat(text))


# ---- what was done ----------------------------------------------------------------------------------------------

REASONS = {
    "circle": _("Stopped: it would go round in circles."),
    "deep": _("Stopped: too many rules set each other off."),
    "off": _("The rule was switched off meanwhile."),
    "condition": _("The customer does not meet the condition any more."),
    "broken": _("The condition cannot be used any more."),
}
DONE = {
    "sent": _("“%(note)s” is handed over for sending"),
    "no_template": _("the template is not there any more, or not in use"),
    "other_project": _("the template is for another project"),
    "set": _("%(field)s is set"),
    "same": _("%(field)s has this value already"),
    "joined": _("added to the group"),
    "left_group": _("taken out of the group"),
    "member": _("is in the group already"),
    "no_member": _("is not in the group"),
    "by_rule": _("the condition of the group keeps the customer in it"),
    "ticket": _("ticket “%(note)s” is opened"),
    "told": _("told to %(ref)s: %(note)s"),
    "nobody": _("there was nobody to tell"),
    "called": _("the webhook is being called"),
    "answered": _("the webhook answered %(ref)s: %(note)s"),
    "unreached": _("the webhook was not reached: %(note)s"),
    "refused": _("failed: %(note)s"),
}


def reason(run: Any) -> str:
    """Why nothing was done; empty where something was."""
    if run.state is RunState.BROKEN:
        return gettext("The condition cannot be used: %(reason)s") % {"reason": run.reason}
    return str(REASONS.get(run.reason, run.reason))


def done(told: Mapping[str, Any]) -> str:
    """What one action did."""
    word = told.get("what", "")
    note = str(told.get("note", ""))
    said = {"note": gettext(note) if word in ("refused", "unreached") else note, "ref": told.get("ref", ""),
            "field": fields.label(note)}  # fmt: skip
    return str(DONE[word]) % said if word in DONE else word


def all_done(run: Any) -> str:
    """What a run has done, or why it has not, as one line."""
    return reason(run) or "; ".join(done(told) for told in run.done.values())


def leaves(run: RuleRun, names: Names) -> Iterator[tuple[str, bool]]:
    """The parts of the condition as it was, and whether each of them held."""
    kept = run.held or {}
    try:
        parsed = filters.parse(kept.get("condition"), Customer)
    except FilterProblem:
        return
    known = by_model(names)
    said = {path: filters.say(leaf, Customer, known) for path, leaf in filters.walk(parsed)}
    for path, holds in kept.get("leaves", ()):
        if path in said:
            yield said[path], bool(holds)


def one_line(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)
