"""A configuration file compared with the database: what would be made, changed and removed, by name and field."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.domain.config import yamlfile
from app.domain.config.conditions import SECTION_OF
from app.domain.config.pictures import lying_in
from app.domain.config.refs import Key, Refs, names_of
from app.domain.config.section import Section
from app.domain.config.sections import BY_NAME, SECTIONS
from app.domain.config.sections.settings import Settings
from app.domain.config.settings import DECLARED
from app.domain.config.shapes import LEFT_OUT, At, listed, mapped, nearest, parse_fields, tidy
from app.domain.config.yamlfile import FileProblem, Mapped
from app.errors import Forbidden
from app.i18n import gettext
from app.integrations.storage import Storage
from app.models.staff import Staff
from app.observe import actor

HEAD = (
    "The configuration of Bursar. Compare it with an installation: bursar config diff FILE\n"
    "Take it over: bursar config import FILE (asks first, all or nothing)\n"
    "Rows are found by their names. What a row does not say stays as it is; rows that are missing stay too, but with\n"
    "--prune. Secrets stand in the environment, never here."
)
Action = Literal["create", "change", "remove"]
_STAFF = "staff"
SECTION_OF[Staff.__tablename__] = _STAFF


@dataclass
class Row:
    """A row of the database, or of a file."""

    key: Key
    label: str
    plain: dict[str, Any]
    obj: Any = None
    line: int = 0
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Change:
    """fields: (field, before, after) of what differs; before is None for a row that is made."""

    section: Section
    action: Action
    label: str
    fields: list[tuple[str, Any, Any]] = field(default_factory=list)
    now: Row | None = None
    wanted: Row | None = None


@dataclass
class Differences:
    changes: list[Change]
    refs: Refs

    def __bool__(self) -> bool:
        return bool(self.changes)

    def count(self, action: Action) -> int:
        return sum(change.action == action for change in self.changes)


CONFIGURE = ("project", "action:configuration")
"""The grant for the configuration as a whole: as a file, modules, the demo."""


def refuse_limited() -> None:
    """The configuration is that of all projects: raises Forbidden for staff who see some only."""
    if actor.get().projects is not None:
        raise Forbidden(gettext("The configuration is for staff who see all projects."))


# ---- the database ---------------------------------------------------------------------------------------------------


async def read_all(session: AsyncSession) -> tuple[dict[str, list[Row]], Refs]:
    """Every row of every section, in the order in which files have them."""
    refs = Refs()
    refs.add(_STAFF, [(name, row_id) for row_id, name in await session.execute(select(Staff.id, Staff.username))],
             fixed=True)  # fmt: skip
    everything: dict[str, list[Row]] = {}
    for section in SECTIONS:
        rows = await section.rows(session)
        found = [Row((), "", await section.read(session, row, refs), row) for row in rows]
        for row in found:
            row.key = section.key_of(row.plain)
            row.plain = {name: value for name, value in row.plain.items() if value is not LEFT_OUT}
        found.sort(key=lambda row: row.key)  # of one key: in the order in which they were made
        for row, label in zip(found, names_of([row.key for row in found]), strict=True):
            row.label = label
        refs.add(section.name, [(row.label, row.obj.id) for row in found])
        everything[section.name] = found
    return everything, refs


async def export(session: AsyncSession, storage: Storage | None = None) -> str:
    """The whole configuration as the text of a file; the same rows always make the same text. storage: where the logos
    lie; without it there are none in the file."""
    refuse_limited()
    async with lying_in(storage):
        everything, _refs = await read_all(session)
    sections: dict[str, Any] = {}
    for section in SECTIONS:
        rows = everything[section.name]
        if isinstance(section, Settings):
            sections[section.name] = {row.plain["name"]: row.plain["value"] for row in rows}
        else:
            sections[section.name] = [row.plain for row in rows]
    titles = {section.name: str.__str__(section.label) for section in SECTIONS}
    return yamlfile.write({n: rows for n, rows in sections.items() if rows}, head=HEAD, titles=titles)


# ---- the file -------------------------------------------------------------------------------------------------------


def read_file(data: bytes) -> tuple[dict[str, list[Row]], list[tuple[str, str, FileProblem]]]:
    """The rows of a file by section, and the rows that they name. Raises FileProblem."""
    root, at = yamlfile.read(data), At("")
    found: dict[str, list[Row]] = {}
    for name, node in root.items.items():
        section, inside = BY_NAME.get(name), at.deeper(name)
        if section is None:
            raise FileProblem(nearest(name, BY_NAME), line=root.lines[name], path=name)
        if isinstance(section, Settings):
            found[name] = _settings(mapped(node, inside), inside)
            continue
        rows = [
            _row(section, mapped(item, inside.deeper(str(n + 1))), inside.deeper(str(n + 1)))
            for n, item in enumerate(listed(node, inside))
        ]
        seen: dict[Key, int] = {}
        for row in rows:
            if section.unique and row.key in seen:
                said = gettext("%(name)s stands here twice; first in line %(n)s.")
                raise FileProblem(said % {"name": row.key[0], "n": seen[row.key]}, line=row.line, path=name)
            seen[row.key] = row.line
        for row, label in zip(rows, names_of([row.key for row in rows]), strict=True):
            row.label = label
        found[name] = rows
    return found, at.uses


def _settings(node: Mapped, at: At) -> list[Row]:
    rows = []
    for name, value in node.items.items():
        if name not in DECLARED:
            raise FileProblem(nearest(name, DECLARED), line=node.lines[name], path=at.deeper(name).path)
        try:
            clean = tidy(DECLARED[name](yamlfile.plain(value)))
        except checks.Bad as bad:
            raise FileProblem(str(bad), line=node.lines[name], path=at.deeper(name).path) from None
        rows.append(Row((name,), name, {"name": name, "value": clean}, line=node.lines[name]))
    return rows


def _row(section: Section, node: Mapped, at: At) -> Row:
    first = section.key[0]
    if first not in node.items:
        raise FileProblem(gettext("%(name)s is missing.") % {"name": first}, line=node.line, path=at.path)
    plain = parse_fields(node, section.fields, at)
    key = section.key_of(plain)
    if not key[0]:
        raise FileProblem(gettext("Please fill this in."), line=node.lines[first], path=at.deeper(first).path)
    return Row(key, "", plain, line=node.line, lines=node.lines)


# ---- compared -------------------------------------------------------------------------------------------------------


async def compare(session: AsyncSession, data: bytes, *, prune: bool = False) -> Differences:
    """What taking a file over would do. Raises FileProblem for what cannot be taken, Forbidden."""
    refuse_limited()
    wanted, uses = await asyncio.to_thread(read_file, data)  # it may take a while, and the others go on
    if prune and not wanted:
        raise FileProblem(gettext("The file names nothing, so that everything would be removed."))
    now, refs = await read_all(session)
    matched = {name: _matched(now[name], rows) for name, rows in wanted.items()}
    for name, pairs in matched.items():
        for row, there in pairs:
            refs.add_file(name, row.label, there.obj.id if there is not None else None)
    for section_name, label, place in uses:
        pruned = prune and section_name in BY_NAME and BY_NAME[section_name].removes
        if not refs.known(section_name, label, only_file=pruned):
            said = gettext("%(section)s: %(name)s would be removed, and is needed here.")
            goes = pruned and refs.known(section_name, label)
            why = said % {"section": section_name, "name": label} if goes else refs.unknown(section_name, label)
            raise FileProblem(why, line=place.line, path=place.path)
    changes: list[Change] = []
    for section in SECTIONS:
        for row, there in matched.get(section.name, ()):
            change = _change(section, row, there, refs)
            if change is not None:
                changes.append(change)
    if prune:
        for section in reversed(SECTIONS):
            if section.removes:
                kept = {id(there) for _row_, there in matched.get(section.name, ())}
                gone = [row for row in now[section.name] if id(row) not in kept]
                changes += [Change(section, "remove", row.label, now=row) for row in gone]
    return Differences(changes, refs)


def _matched(now: list[Row], wanted: list[Row]) -> list[tuple[Row, Row | None]]:
    """Each row of the file with that of the database which it is: the same key, of several the same one in order."""
    there: dict[Key, list[Row]] = {}
    for row in now:
        there.setdefault(row.key, []).append(row)
    return [(row, there[row.key].pop(0) if there.get(row.key) else None) for row in wanted]


def _change(section: Section, row: Row, there: Row | None, refs: Refs) -> Change | None:
    meant = {name: section.fields[name].meant(value, refs, row.plain) for name, value in row.plain.items()}
    if there is None:
        return Change(section, "create", row.label, [(n, None, v) for n, v in meant.items()], wanted=row)
    differing = [(n, there.plain.get(n), v) for n, v in meant.items() if there.plain.get(n) != v]
    return Change(section, "change", row.label, differing, there, row) if differing else None
