"""Taking a configuration file over: in the order of the sections, by their verbs, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app import db, filters
from app.domain import checks, rights
from app.domain.config import live
from app.domain.config.conditions import Condition
from app.domain.config.pictures import lying_in
from app.domain.config.planning import Change, Differences, Row, compare, read_all
from app.domain.config.refs import Refs
from app.domain.config.section import attr_of
from app.domain.config.yamlfile import FileProblem
from app.errors import AppError, Invalid
from app.i18n import gettext, ngettext
from app.integrations.storage import Storage
from app.models import audit

LONGEST_SHOWN = 120


@dataclass
class Taken:
    """What was done. altered: what came out otherwise than the file says, in sentences."""

    differences: Differences
    altered: list[str] = field(default_factory=list)


async def take(data: bytes, *, prune: bool = False, storage: Storage | None = None) -> Taken:
    """Take a file over, in a unit of its own. Raises FileProblem, and then nothing has changed. storage: for logos."""
    try:
        async with lying_in(storage), db.unit() as session:
            return await apply(session, data, prune=prune)
    except Exception:
        await live.again()
        raise


async def rehearse(data: bytes, *, prune: bool = False, storage: Storage | None = None) -> Taken:
    """The same for real, and then nothing of it: what the verbs refuse comes out too."""
    try:
        async with lying_in(storage), db.trial() as session:
            return await apply(session, data, prune=prune)
    finally:
        await live.again()


async def apply(session: AsyncSession, data: bytes, *, prune: bool = False) -> Taken:
    """Take a file over in the running unit."""
    found = await compare(session, data, prune=prune)
    allowed = await rights.asking(session)
    for change in found.changes:
        await _do(session, change, found.refs, allowed)
    if found.changes:
        all_of_it = {f"{c.section.name}: {c.label}"[:200]: [None, c.action] for c in found.changes}
        await session.run_sync(audit.write, "config_taken", "setting", None, all_of_it)
    return Taken(found, await _altered(session, found))


async def _do(session: AsyncSession, change: Change, refs: Refs, allowed: filters.Allowed) -> None:
    row = change.wanted or change.now
    assert row is not None
    try:
        await _refuse(session, change)
        if change.action == "remove":
            assert change.now is not None
            await change.section.remove(session, change.now.obj)
            return
        values, whole = _stored(change, row, refs)
        _refuse_to_ask(change, whole, allowed)
        saved = await change.section.save(session, change.now.obj if change.now else None, values, whole)
        if change.now is None:
            refs.add_file(change.section.name, row.label, saved.id)
    except FileProblem:
        raise
    except Invalid as problem:
        name, said = next(iter(problem.fields.items()))
        raise _problem(change, row, str(said), name.removesuffix("_id")) from None
    except AppError as problem:
        raise _problem(change, row, str(problem)) from None
    except SQLAlchemyError as problem:
        reason = str(getattr(problem, "orig", problem)).splitlines()[0]
        raise _problem(change, row, gettext("The database refused: %(why)s") % {"why": reason}) from None


async def _refuse(session: AsyncSession, change: Change) -> None:
    """A file changes what the person who takes it over could change on the screen."""
    if action := change.section.rights.get(change.action):
        what = gettext(change.section.label)
        await rights.need(session, [(change.section.model.__tablename__, action)], what)


def _refuse_to_ask(change: Change, whole: Mapping[str, Any], allowed: filters.Allowed) -> None:
    """A new filter asks for nothing that they may not filter by."""
    for name, _before, _after in change.fields:
        shape = change.section.fields[name]
        if isinstance(shape, Condition) and whole.get(name):
            try:
                filters.parse(whole[name], shape.model_of(whole), allowed)
            except filters.FilterProblem as problem:
                raise Invalid(**{name: str(problem)}) from None


def _problem(change: Change, row: Row, said: str, name: str = "") -> FileProblem:
    path = f"{change.section.name}[{change.label}]" + (f".{name}" if name in change.section.fields else "")
    return FileProblem(said, line=row.lines.get(name, row.line), path=path)


def _stored(change: Change, row: Row, refs: Refs) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the verb takes: the values that are new, by attribute, and the whole row by field."""
    plain = {**(change.now.plain if change.now else {}), **row.plain}
    differing = {name for name, _before, _after in change.fields}
    values, whole = {}, {}
    for name, value in plain.items():
        shape = change.section.fields[name]
        try:
            whole[name] = shape.store(value, refs, plain)
        except (checks.Bad, AppError) as bad:
            raise _problem(change, row, str(bad), name) from None
        if name in differing:
            values[attr_of(name, shape)] = whole[name]
    return values, whole


async def _altered(session: AsyncSession, found: Differences) -> list[str]:
    """Where a verb kept something else than it was given, as a discount that has no amount where it is per cent."""
    session.expire_all()
    everything, refs = await read_all(session)
    rows = {name: {row.obj.id: row for row in of} for name, of in everything.items()}
    said = []
    for change in found.changes:
        if change.wanted is None:
            continue
        row_id = found.refs.id(change.section.name, change.wanted.label)
        now = rows[change.section.name][row_id]
        for name, value in change.wanted.plain.items():
            meant = change.section.fields[name].meant(value, found.refs, change.wanted.plain)
            if now.plain.get(name) != meant and not _same_rows(change, name, value, now, found.refs, refs):
                said.append(
                    gettext("%(where)s: %(wanted)s becomes %(now)s.")
                    % {"where": f"{change.section.name}[{change.label}].{name}", "wanted": show(value),
                       "now": show(now.plain.get(name))}
                )  # fmt: skip
    return said


def _same_rows(change: Change, name: str, value: Any, now: Row, before: Refs, after: Refs) -> bool:
    """Whether they only differ in what rows are called, which may be otherwise when there are more of them."""
    shape = change.section.fields[name]
    try:
        return bool(
            shape.store(value, before, change.wanted.plain if change.wanted else {})
            == shape.store(now.plain.get(name), after, now.plain)
        )
    except (AppError, checks.Bad):
        return False


# ---- told -----------------------------------------------------------------------------------------------------------


def show(value: Any) -> str:
    """A value on one line."""
    if value in (None, "", [], {}):
        return "-"
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case list():
            text = ", ".join(show(v) for v in value)
        case dict():
            text = "; ".join(f"{name}: {show(v)}" for name, v in value.items())
        case _:
            text = " ".join(str(value).split())
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + " ..."


def told(change: Change) -> list[tuple[str, str, str]]:
    """(field, before, after) of what differs, inside of fields too: `texts.en.subject`."""
    shapes = change.section.fields
    return [
        line
        for name, before, after in change.fields
        for line in _inside(name, shapes[name].shown(before), shapes[name].shown(after))
    ]


def _inside(name: str, before: Any, after: Any) -> list[tuple[str, str, str]]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        return [line for key in keys for line in _inside(f"{name}.{key}", before.get(key), after.get(key))]
    return [(name, show(before), show(after))]


SIGNS = {"create": "+", "change": "~", "remove": "-"}


def lines(found: Differences) -> list[str]:
    """For a terminal: one line per row and field, then how many of each."""
    made = []
    for change in found.changes:
        made.append(f"{SIGNS[change.action]} {change.section.name}: {change.label}")
        if change.action == "change":
            made += [f"    {name}: {before} -> {after}" for name, before, after in told(change)]
    return [*made, summary(found)]


def summary(found: Differences) -> str:
    if not found:
        return gettext("Nothing differs.")
    made, changed, gone = (found.count(action) for action in ("create", "change", "remove"))
    parts = [
        ngettext("%(n)s row is made", "%(n)s rows are made", made) % {"n": made},
        ngettext("%(n)s is changed", "%(n)s are changed", changed) % {"n": changed},
        ngettext("%(n)s is removed", "%(n)s are removed", gone) % {"n": gone},
    ]
    return ", ".join(part for part, n in zip(parts, (made, changed, gone), strict=True) if n) + "."
