"""Rules, and saved views that several people see. Secrets of webhooks are made anew where a rule is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import model_of
from app.domain import automation, rights, views
from app.domain.automation import actions, fields
from app.domain.config.conditions import SECTION_OF, Condition
from app.domain.config.refs import Refs
from app.domain.config.section import Section, columns, text
from app.domain.config.shapes import At, Checked, ListOf, Shape, YesNo, mapped
from app.domain.config.yamlfile import Node, plain
from app.i18n import _, gettext
from app.models.automation import Rule
from app.models.customers import Customer
from app.models.views import SavedView, ViewKind

_usual: Mapping[str, Mapping[str, Any]] = {"ticket": {"to_customer": False}, "notify": {"mail": False}}
"""Parameters that an action always has."""


class Action(Shape):
    """What a rule does: rows by their names, `group: Resellers` for `group_id: 7`."""

    def parse(self, node: Node, at: At) -> Any:
        found = plain(mapped(node, at))
        found = _usual.get(str(found.get("kind")), {}) | found
        for name, section in self._names(found).items():
            if isinstance(value := found.get(name.removesuffix("_id")), str):
                at.uses.append((section, value, at.wrong("", node)))
        return found

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        names, made = self._names(value), {}
        for name in sorted(value):
            if name in names and value[name] is not None:
                made[name.removesuffix("_id")] = refs.label(names[name], int(value[name])) or value[name]
            else:
                made[name] = value[name]
        first = {name: made[name] for name in ("kind", "key") if name in made}
        return first | dict(sorted(made.items()))

    def meant(self, value: Any, refs: Refs, row: Any) -> Any:
        return self._named(value, refs.meant)

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        names = {name.removesuffix("_id"): name for name in self._names(value)}
        return {names.get(name, name): v for name, v in self._named(value, refs.id).items()}

    def _named(self, value: dict[str, Any], change: Any) -> dict[str, Any]:
        sections = {name.removesuffix("_id"): section for name, section in self._names(value).items()}
        return {
            name: change(sections[name], v) if name in sections and isinstance(v, str) else v
            for name, v in value.items()
        }

    @staticmethod
    def _names(action: Any) -> dict[str, str]:
        """Parameter -> the section in which its rows have their names."""
        kind = actions.KINDS.get(str(action.get("kind", "")))
        tables = dict(kind.refs) if kind is not None else {}
        if action.get("kind") == "set" and (pointed := fields.target_of(str(action.get("field", "")))) is not None:
            tables["value"] = pointed.__tablename__
        return {name: SECTION_OF[table] for name, table in tables.items() if table in SECTION_OF}


@dataclass
class Watched(Checked):
    """What a field was or becomes: a row by its name."""

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        pointed = fields.target_of(row.field) if row.field else None
        section = SECTION_OF.get(pointed.__tablename__) if pointed is not None else None
        if section is None or not value.isdecimal():
            return super().load(value, refs, row)
        return refs.label(section, int(value)) or value


class Rules(Section):
    name, label, model = "rules", _("Rules"), Rule
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Rule, "name", "project", "position", "trigger", "days", "hours", "amount", "currency", "field"),
        "was": Watched(text(200, lines=False)),
        "becomes": Watched(text(200, lines=False)),
        **columns(Rule, "group", "clock"),
        "condition": Condition(Customer),
        "actions": ListOf(Action()),
        "enabled": YesNo(),
    }
    owned = ("automation_run", "automation_below", "automation_notice")

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        on = values.pop("enabled", None)
        rule = await automation.save_rule(session, values=values, rule=row)
        if on:
            await rights.need(session, [(Rule.__tablename__, "action:switch")], gettext("Switch on"))
        if on is not None:
            await automation.switch(session, rule=rule, on=on)
        return rule


class OfScreen(Condition):
    """A filter over the rows of the screen that the view is of."""

    def model_of(self, row: Any) -> Any:
        return model_of(str(row.get("screen") if isinstance(row, Mapping) else row.screen))


class Views(Section):
    """Those that everybody sees, or the people of a role."""

    name, label, model, key = "views", _("Saved views"), SavedView, ("name", "screen")
    rights: ClassVar[Mapping[str, str]] = {**Section.rights, "create": "edit"}
    unique = False
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(SavedView, "name", "screen", "kind", "role"),
        "columns": Shape(),
        **columns(SavedView, "sort", "search"),
        "condition": OfScreen(),
        **columns(SavedView, "size"),
    }

    async def rows(self, session: AsyncSession) -> Sequence[Any]:
        many = SavedView.kind.in_((ViewKind.SHARED, ViewKind.ROLE))
        rows = select(SavedView).where(many).order_by(SavedView.position, SavedView.id)
        return (await session.scalars(rows.execution_options(populate_existing=True))).all()

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        shape = views.shape_of(whole.get("columns"), whole.get("sort", ""), whole.get("size", 0))
        more = {"shape": shape, "search": whole.get("search", ""), "condition": whole.get("condition")}
        named = {"name": whole["name"], "kind": whole.get("kind", ViewKind.SHARED), "role_id": whole.get("role")}
        if row is None:
            return await views.save_view(session, screen=whole["screen"], **named, **more)
        await views.call_view(session, view=row, **named)
        await views.change_view(session, view=row, **more)
        return row

    async def remove(self, session: AsyncSession, row: Any) -> None:
        await views.delete_view(session, view=row)
