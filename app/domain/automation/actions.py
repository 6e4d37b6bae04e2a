"""What a rule can do: each kind of action with what it needs, how that is checked, and how it is done.

Everything that is ours is done in the unit that says so of the run; what leaves the house is a job with the key of the
action, so that nothing is done twice however often a worker dies.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.domain import customers, tickets
from app.domain.automation import calling, fields, telling
from app.domain.config import modules
from app.domain.messaging.starting import start_campaign
from app.domain.messaging.system import macros_of
from app.domain.messaging.versions import texts_of
from app.errors import Conflict, Invalid
from app.i18n import SOURCE, _, gettext
from app.models.automation import Rule, RuleRun
from app.models.customers import Attitude, Customer, Group, Membership
from app.models.messaging import Category, Template
from app.models.staff import Role, Staff
from app.queue import enqueue

MOST = 10
"""Actions of one rule."""
Action = dict[str, Any]


class Result(NamedTuple):
    """What an action did. state: ok, left (there was nothing to do), waiting (for an answer), failed. what: a word that
    `words.done` turns into a sentence. note: more of it, as it is."""

    state: str
    what: str
    note: str = ""
    ref: int | None = None

    def stored(self) -> dict[str, Any]:
        kept = {"state": self.state, "what": self.what, "note": self.note[:600], "ref": self.ref}
        return {k: v for k, v in kept.items() if v}


@dataclass
class Doing:
    """One run that acts on one customer."""

    session: AsyncSession
    rule: Rule
    run: RuleRun
    customer: Customer


Check = Callable[[AsyncSession, Action, str], Awaitable[Action]]
Do = Callable[[Doing, Action], Awaitable[Result]]


@dataclass(frozen=True)
class Kind:
    """label: in the form. refs: parameter -> the table that it points at. rights: what somebody must be allowed who has
    rules do it."""

    label: str
    check: Check
    do: Do
    refs: Mapping[str, str]
    rights: Sequence[tuple[str, str]] = ()


async def _row(session: AsyncSession, model: Any, wanted: Any, at: str, *where: Any) -> int:
    found = await session.scalar(select(model.id).where(model.id == wanted, *where)) if type(wanted) is int else None
    if found is None:
        raise Invalid(**{at: gettext("Choose one from the list.")})
    return int(found)


def _text(value: Any, most: int, at: str, *, lines: bool = False) -> str:
    text = str(value or "").replace("\r\n", "\n").strip()
    if not text:
        raise Invalid(**{at: gettext("Please fill this in.")})
    if len(text) > most:
        raise Invalid(**{at: gettext("At most %(n)d characters, please.") % {"n": most}})
    if not text.replace("\n", " " if lines else "\n").replace("\t", " ").isprintable():
        raise Invalid(**{at: gettext("This holds a character that cannot be shown, such as a line break or NUL.")})
    return text


# ---- messages -------------------------------------------------------------------------------------------------------


async def _check_template(session: AsyncSession, given: Action, at: str) -> Action:
    wanted = given.get("template_id")
    found = await session.scalar(select(Template).where(Template.id == wanted)) if type(wanted) is int else None
    if found is None:
        raise Invalid(**{f"{at}template": gettext("Choose one from the list.")})
    if found.kind is not None and macros_of(found.kind):
        raise Invalid(**{f"{at}template": gettext("This text is for a mail of the system: it has fields of its own.")})
    return {"template_id": found.id}


async def send(session: AsyncSession, rule: Rule, runs: Sequence[RuleRun], action: Action) -> dict[int, Result]:
    """One message to the customers of these runs, whatever they want to receive: run -> result."""
    query = select(Template).where(Template.id == action["template_id"]).options(selectinload(Template.texts))
    template = await session.scalar(query)
    if template is None or not template.enabled:
        return {run.id: Result("failed", "no_template") for run in runs}
    ours = {run.id: Result("left", "other_project") for run in runs}
    found = [run for run in runs if run.customer_id is not None]
    if template.project_id is not None:
        ids = [run.customer_id for run in found]
        mine = select(Customer.id).where(Customer.id.in_(ids), Customer.project_id == template.project_id)
        there = set(await session.scalars(mine))
        found = [run for run in found if run.customer_id in there]
    if found:
        texts = texts_of(template)
        campaign = await start_campaign(
            session, key=f"rule:{found[0].id}:{action['key']}:{found[0].tries}",
            category_id=await _category(session, template), audience={"ids": [run.customer_id for run in found]},
            texts=texts, default_language=SOURCE if SOURCE in texts else next(iter(texts), SOURCE),
        )  # fmt: skip
        ours |= {run.id: Result("ok", "sent", template.name, campaign.id) for run in found}
    return ours


async def _category(session: AsyncSession, template: Template) -> int | None:
    """That of the template; else the first that customers cannot refuse."""
    if template.category_id is not None:
        return template.category_id
    query = select(Category.id).where(Category.enabled, Category.subscribable.is_(False))
    found = await session.scalar(query.order_by(Category.priority.desc(), Category.id).limit(1))
    if found is None:
        raise Conflict(_("The template has no category, and there is none for service messages."))
    return found


async def _send_one(doing: Doing, action: Action) -> Result:
    return (await send(doing.session, doing.rule, [doing.run], action))[doing.run.id]


# ---- the customer ---------------------------------------------------------------------------------------------------


async def _check_set(session: AsyncSession, given: Action, at: str) -> Action:
    field = str(given.get("field", ""))
    value = await fields.checked_value(session, field, given.get("value"), f"{at}{field}")
    return {"field": field, "value": value}


async def _set(doing: Doing, action: Action) -> Result:
    field, value = action["field"], action["value"]
    values = {"custom": {field.removeprefix(fields.CUSTOM): value}} if field.startswith(fields.CUSTOM) else {
        field: value
    }  # fmt: skip
    changed = await customers.change_customer(doing.session, customer=doing.customer, values=values)
    return Result("ok", "set", field) if changed else Result("left", "same", field)


async def _check_group(session: AsyncSession, given: Action, at: str) -> Action:
    return {"group_id": await _row(session, Group, given.get("group_id"), f"{at}group")}


async def _join(doing: Doing, action: Action) -> Result:
    return await _regroup(doing, action["group_id"], member=True)


async def _leave(doing: Doing, action: Action) -> Result:
    return await _regroup(doing, action["group_id"], member=False)


async def _regroup(doing: Doing, group_id: int, *, member: bool) -> Result:
    of = select(Membership.group_id).where(Membership.customer_id == doing.customer.id)
    groups = set(await doing.session.scalars(of))
    if (group_id in groups) is member:
        return Result("left", "member" if member else "no_member")
    if not member and await doing.session.scalar(of.where(Membership.group_id == group_id, Membership.by_rule)):
        return Result("left", "by_rule")
    wanted = groups | {group_id} if member else groups - {group_id}
    await customers.set_groups(doing.session, customer=doing.customer, groups=wanted)
    return Result("ok", "joined" if member else "left_group")


# ---- staff ----------------------------------------------------------------------------------------------------------


async def _check_ticket(session: AsyncSession, given: Action, at: str) -> Action:
    made: Action = {
        "subject": _text(given.get("subject"), tickets.MAX_SUBJECT, f"{at}subject"),
        "text": _text(given.get("text"), tickets.MAX_TEXT, f"{at}text", lines=True),
        "to_customer": bool(given.get("to_customer")),
    }  # fmt: skip
    if given.get("category_id") is not None:
        made["category_id"] = await _row(session, Category, given["category_id"], f"{at}category")
    if given.get("assigned_id") is not None:
        made["assigned_id"] = await _row(session, Staff, given["assigned_id"], f"{at}assigned")
    return made


async def _open_ticket(doing: Doing, action: Action) -> Result:
    if not modules.on("tickets"):
        raise Conflict(modules.OFF)
    assigned_id = action.get("assigned_id")
    if not await telling.told_of(doing.session, doing.customer, staff_id=assigned_id, role_id=None):
        assigned_id = None  # gone, or limited to other projects: it waits for everybody
    ticket = await tickets.open_ticket(
        doing.session, customer_id=doing.customer.id, subject=action["subject"], text=action["text"],
        from_customer=False, internal=not action.get("to_customer"), category_id=action.get("category_id"),
        assigned_id=assigned_id,
    )  # fmt: skip
    return Result("ok", "ticket", ticket.subject, ticket.id)


async def _check_notify(session: AsyncSession, given: Action, at: str) -> Action:
    made: Action = {"text": _text(given.get("text"), 500, f"{at}text", lines=True), "mail": bool(given.get("mail"))}
    if given.get("staff_id") is not None:
        made["staff_id"] = await _row(session, Staff, given["staff_id"], f"{at}staff")
    if given.get("role_id") is not None:
        made["role_id"] = await _row(session, Role, given["role_id"], f"{at}role")
    if not made.keys() & {"staff_id", "role_id"}:
        raise Invalid(**{f"{at}staff": gettext("Choose a colleague or a role.")})
    return made


async def _notify(doing: Doing, action: Action) -> Result:
    n = await telling.tell(
        doing.session, run=doing.run, customer=doing.customer, key=action["key"], text=action["text"],
        mail=action.get("mail", False), staff_id=action.get("staff_id"), role_id=action.get("role_id"),
    )  # fmt: skip
    return Result("ok", "told", action["text"], n) if n else Result("left", "nobody")


# ---- elsewhere ------------------------------------------------------------------------------------------------------


async def _check_call(_session: AsyncSession, given: Action, at: str) -> Action:
    return {"url": calling.check_url(str(given.get("url") or ""), f"{at}url")}


async def _call(doing: Doing, action: Action) -> Result:
    run = doing.run
    key = f"rule.call:{run.id}:{action['key']}:{run.tries}"
    await enqueue(doing.session, calling.TASK, key=key, run_id=run.id, action=action["key"], url=action["url"])
    return Result("waiting", "called")


_EDIT = (("customer", "edit"),)
KINDS: dict[str, Kind] = {
    "template": Kind(_("Send a message"), _check_template, _send_one, {"template_id": "message_template"},
                     [("customer", "action:message_all")]),
    "join": Kind(_("Add to a group"), _check_group, _join, {"group_id": "customer_group"}, _EDIT),
    "leave": Kind(_("Take out of a group"), _check_group, _leave, {"group_id": "customer_group"}, _EDIT),
    "ticket": Kind(_("Open a ticket"), _check_ticket, _open_ticket,
                   {"category_id": "message_category", "assigned_id": "staff"}, [("ticket", "edit")]),
    "notify": Kind(_("Tell colleagues"), _check_notify, _notify, {"staff_id": "staff", "role_id": "role"}),
    "webhook": Kind(_("Call a webhook"), _check_call, _call, {}, [("customer", "export")]),
    "set": Kind(_("Set a field"), _check_set, _set, {}, _EDIT),
}  # fmt: skip
REFS: dict[str, Any] = {
    "message_template": Template, "customer_group": Group, "message_category": Category, "staff": Staff, "role": Role,
    "attitude": Attitude,
}  # fmt: skip


async def check(session: AsyncSession, given: Action, at: str) -> Action:
    """An action as it is stored. at: what stands before the names of its fields in the form. Raises Invalid."""
    kind = KINDS.get(str(given.get("kind", "")))
    if kind is None:
        raise Invalid(**{f"{at}kind": gettext("Choose one from the list.")})
    key = given.get("key")
    kept = key if isinstance(key, str) and key.isalnum() and key.isascii() and 0 < len(key) <= 12 else ""
    return {"key": kept or secrets.token_hex(4), "kind": given["kind"], **await kind.check(session, given, at)}


def refs(action: Action) -> dict[str, set[int]]:
    """Table -> the ids of rows that an action speaks of."""
    found: dict[str, set[int]] = {}
    kind = KINDS.get(action.get("kind", ""))
    for name, table in (kind.refs if kind is not None else {}).items():
        if action.get(name) is not None:
            found.setdefault(table, set()).add(action[name])
    if action.get("kind") != "set" or not action.get("value"):
        return found
    if (pointed := fields.target_of(action["field"])) is not None:
        found.setdefault(pointed.__tablename__, set()).add(int(action["value"]))
    return found


def of_projects(rule_project: int | None) -> Any:
    """The templates that a rule of this project may send; None: any."""
    return or_(Template.project_id.is_(None), Template.project_id == rule_project)
