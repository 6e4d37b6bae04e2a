"""Making, changing, removing and purging custom fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import inside, model_of, text_in, utcnow
from app.domain import checks
from app.domain.checks import Bad
from app.domain.custom import names, values
from app.domain.custom.spec import Model, Spec, spec_of
from app.errors import Conflict, Invalid
from app.i18n import LANGUAGES, gettext, language, show_number
from app.models.custom import CustomAccess, CustomField, CustomKind, CustomTarget, said
from app.models.customers import CustomerKind
from app.queue import enqueue

MOST = 100
"""Active fields of one kind of row."""
MOST_CHOICES = 200
LABEL, HELP = 80, 300
"""Characters of a name and of a help."""
SHOWN_BAD = 3
CHUNK = 2000
ACCOUNTS = {"customer", "payer"}
"""Whose rows have an account type."""
FIELDS: dict[str, checks.Check] = {
    "target": checks.one_of(CustomTarget),
    "kind": checks.one_of(CustomKind),
    "key": lambda value: checks.text(value, 40).lower(),
    "labels": lambda value: _texts(value, LABEL),
    "helps": lambda value: _texts(value, HELP),
    "digits": lambda value: _between(value, 0, 6),
    "currency": checks.currency,
    "choices": lambda value: _choices(value),
    "default": lambda value: value,
    "required": checks.yes_no,
    "access": checks.one_of(CustomAccess),
    "at_registration": checks.yes_no,
    "account_types": lambda value: [str(checks.one_of(CustomerKind)(v)) for v in value],
    "listed": checks.yes_no,
    "indexed": checks.yes_no,
}
"""What may be entered for a field, and its shape."""


def _texts(value: Any, longest: int) -> dict[str, str]:
    """Language -> text, without the empty ones."""
    if not isinstance(value, Mapping) or not set(value) <= LANGUAGES.keys():
        raise Bad(gettext("A text for each language, please."))
    texts = {code: checks.text(text, longest) for code, text in value.items()}
    return {code: text for code, text in texts.items() if text}


def _between(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise Bad(gettext("A number from %(low)s to %(high)s is needed.") % {"low": least, "high": most})
    return value


def _choices(value: Any) -> list[dict[str, Any]]:
    """[{key, labels, retired}], each with a key: one that is new gets it from its name."""
    if not isinstance(value, list | tuple):
        raise Bad(gettext("Please choose one of the offered values."))
    if len(value) > MOST_CHOICES:
        raise Bad(gettext("At most %(n)s choices, please.") % {"n": MOST_CHOICES})
    made: list[dict[str, Any]] = []
    taken = {c.get("key") for c in value if isinstance(c, Mapping)}
    for given in value:
        if not isinstance(given, Mapping):
            raise Bad(gettext("Please choose one of the offered values."))
        labels = _texts(given.get("labels", {}), LABEL)
        if not labels:
            raise Bad(gettext("Each choice needs a name."))
        key = given.get("key") or _free(names.slug(said(labels, language()))[:30] or "choice", taken)
        if not isinstance(key, str) or not inside.KEY.fullmatch(key) or any(c["key"] == key for c in made):
            raise Bad(gettext("Two choices are the same."))
        taken.add(key)
        made.append({"key": key, "labels": labels, **({"retired": True} if given.get("retired") else {})})
    for code in LANGUAGES:
        shown = [c["labels"][code].casefold() for c in made if code in c["labels"] and not c.get("retired")]
        if len(shown) > len(set(shown)):
            raise Bad(gettext("Two choices are the same."))
    return made


def _free(key: str, taken: Iterable[Any]) -> str:
    """The key, or with a number where it is taken."""
    used = set(taken)
    return next(k for n in range(1, len(used) + 3) if (k := key if n == 1 else f"{key[:36]}_{n}") not in used)


async def create(session: AsyncSession, **given: Any) -> CustomField:
    """A new field: needs target and labels, see FIELDS. Its key is made from the name unless given. Raises Invalid with
    the bad fields."""
    wanted = checks.clean(given, FIELDS)
    if missing := [name for name in ("target", "labels") if not wanted.get(name)]:
        raise Invalid(**{name: gettext("Please fill this in.") for name in missing})
    model = _model(wanted["target"])
    key = wanted.get("key") or names.slug(said(wanted["labels"], language()))
    wanted["key"] = checks.at("key", names.check_key, model, key)
    taken = set(await session.scalars(select(CustomField.key).where(CustomField.target == wanted["target"])))
    if wanted["key"] in taken:
        raise Invalid(key=gettext("There is a field with this key already, perhaps among those that were removed."))
    active = select(func.count()).where(CustomField.target == wanted["target"], CustomField.archived_at.is_(None))
    if (await session.scalar(active) or 0) >= MOST:
        raise Conflict(gettext("There are %(n)d fields already. That is the most.") % {"n": MOST})
    last = select(func.max(CustomField.position)).where(CustomField.target == wanted["target"])
    row = CustomField(position=(await session.scalar(last) or 0) + 1)
    _set(row, {"kind": CustomKind.TEXT, "choices": [], "helps": {}, "digits": 0, "currency": "EUR", "required": False,
               "access": CustomAccess.STAFF, "at_registration": False, "account_types": [], "listed": True,
               "indexed": False, "default": None} | wanted)  # fmt: skip
    session.add(row)
    await session.flush()
    if row.indexed:
        await _see_to_index(session, row)
    return row


async def change(session: AsyncSession, *, field: CustomField, **given: Any) -> CustomField:
    """Change a field; its rows keep their values. Key and target stay; kind, decimals and currency change only where
    the values that are there stay valid: else Invalid says which do not. A choice that is taken out is no longer
    offered, and rows that have it keep it."""
    wanted = checks.clean(given, FIELDS)
    if wanted.get("target", field.target) != field.target:
        raise Invalid(target=gettext("A field stays where it is. Make another one."))
    if wanted.get("key", "") not in ("", field.key):
        raise Invalid(key=gettext("The key stays: the values of the field stand under it."))
    wanted.pop("key", None)
    if "labels" in wanted and not wanted["labels"]:
        raise Invalid(labels=gettext("Please fill this in."))
    if "choices" in wanted:
        there = {c["key"] for c in wanted["choices"]}
        wanted["choices"] += [{**c, "retired": True} for c in field.choices if c["key"] not in there]
    was = (field.kind, field.digits if field.kind is CustomKind.NUMBER else 0,
           field.currency if field.kind is CustomKind.MONEY else "")  # fmt: skip
    indexed = _indexed(field)
    _set(field, wanted)
    now = (field.kind, field.digits if field.kind is CustomKind.NUMBER else 0,
           field.currency if field.kind is CustomKind.MONEY else "")  # fmt: skip
    if now != was:
        await _still_valid(session, field, was[0])
    await session.flush()
    if _indexed(field) != indexed:
        await _see_to_index(session, field)
    return field


def _model(target: CustomTarget) -> Model:
    model: Model | None = model_of(target.value)
    assert model is not None
    return model


def _set(row: CustomField, wanted: Mapping[str, Any]) -> None:
    """Write what is wanted, if all of it belongs together."""
    checks.change(row, wanted)
    several = row.kind in (CustomKind.CHOICE, CustomKind.CHOICES)
    if several and not any(not c.get("retired") for c in row.choices):
        raise Invalid(choices=gettext("Please enter the choices."))
    if not several:
        row.choices = []
    if row.target.value not in ACCOUNTS and row.account_types:
        row.account_types = []
    if row.target is not CustomTarget.CUSTOMER or row.access is not CustomAccess.EDIT:
        if row.at_registration and row.target is CustomTarget.CUSTOMER and "at_registration" in wanted:
            raise Invalid(access=gettext("Who signs up fills it in: the customer must be allowed to change it."))
        row.at_registration = False
    row.default = checks.at("default", _default, spec_of(row), row.default)


def _default(spec: Spec, given: Any) -> Any:
    """What new rows get; a text is read as one of a file."""
    return values.check(spec, values.read(spec, given) if isinstance(given, str) else given)


async def _still_valid(session: AsyncSession, field: CustomField, before: CustomKind) -> None:
    """Raise Invalid at `kind` when a row has a value that the field as it is now would not take."""
    model: Any = _model(field.target)
    bad: list[str] = []
    spec, n, last = spec_of(field), 0, 0
    same_figures = {before, field.kind} <= {CustomKind.NUMBER, CustomKind.MONEY}
    while True:
        rows = select(model.id, model.custom).where(model.id > last, text_in(model.custom, field.key).is_not(None))
        found = (await session.execute(rows.order_by(model.id).limit(CHUNK).execution_options(unscoped=True))).all()
        for pk, custom in found:
            value = custom[field.key]
            if same_figures or not _fits(spec, value):
                n += 1
                bad += [f"{values.say(spec, value)} (#{pk})"] if len(bad) < SHOWN_BAD else []
        if len(found) < CHUNK:
            break
        last = found[-1][0]
    if n:
        said_bad = gettext("%(n)s values would not be valid any more, such as %(some)s.")
        raise Invalid(kind=said_bad % {"n": show_number(n), "some": ", ".join(bad)[:300]})


def _fits(spec: Spec, value: Any) -> bool:
    try:
        return bool(values.check(spec, value, before=value) == value)
    except Bad:
        return False


async def count(session: AsyncSession, field: CustomField) -> int:
    """How many rows have a value, everywhere."""
    model: Any = _model(field.target)
    rows = select(func.count()).select_from(model).where(text_in(model.custom, field.key).is_not(None))
    return await session.scalar(rows.execution_options(unscoped=True)) or 0


async def move(session: AsyncSession, *, field: CustomField, by: int) -> None:
    """Earlier (-1) or later (1) among those of its rows."""
    rows = select(CustomField).where(CustomField.target == field.target, CustomField.archived_at.is_(None))
    order = list(await session.scalars(rows.order_by(CustomField.position, CustomField.id)))
    at = next((i for i, f in enumerate(order) if f.id == field.id), None)
    if at is None:
        raise Conflict(gettext("This field was removed."))
    order.insert(max(0, at + by), order.pop(at))
    for position, other in enumerate(order, 1):
        checks.change(other, {"position": position})
    await session.flush()


async def archive(session: AsyncSession, *, field: CustomField) -> None:
    """Take it out of all screens; its values stay until somebody purges it."""
    if field.archived_at is None:
        field.archived_at = utcnow()
        await session.flush()


async def restore(session: AsyncSession, *, field: CustomField) -> None:
    """Show it again, with the values that it had."""
    if field.archived_at is None:
        raise Conflict(gettext("This field was not removed."))
    if field.purging:
        raise Conflict(gettext("Its values are being deleted."))
    field.archived_at = None
    await session.flush()


async def purge(session: AsyncSession, *, field: CustomField) -> None:
    """Delete the values of a removed field, and then the field, in the background. There is no way back."""
    if field.archived_at is None:
        raise Conflict(gettext("Remove the field first."))
    if not field.purging:
        field.purging = True
        if field.indexed:
            field.indexed = False
            await _see_to_index(session, field)
        await session.flush()
        await enqueue(session, "custom.purge", field_id=field.id)


async def purge_some(session: AsyncSession, *, field_id: int, most: int = 500) -> bool:
    """Take the values out of some rows; when there are none left, delete the field. True: there is more to do."""
    field = await session.get(CustomField, field_id)
    if field is None or not field.purging:
        return False
    model: Any = _model(field.target)
    rows = select(model).where(text_in(model.custom, field.key).is_not(None)).order_by(model.id).limit(most)
    found: Sequence[Any] = (await session.scalars(rows.execution_options(unscoped=True).with_for_update())).all()
    for row in found:
        row.custom = {key: value for key, value in row.custom.items() if key != field.key}
    await session.flush()
    if len(found) == most:
        return True
    await session.delete(field)
    await session.flush()
    return False


# ---- indexes --------------------------------------------------------------------------------------------------------


def _indexed(field: CustomField) -> tuple[Any, ...]:
    """What the indexes are made of: rows are sorted by choices in their order."""
    return (field.kind, *(c["key"] for c in field.choices)) if field.indexed else ()


async def _see_to_index(session: AsyncSession, field: CustomField) -> None:
    await enqueue(session, "custom.index", field_id=field.id)
