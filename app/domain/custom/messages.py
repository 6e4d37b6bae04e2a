"""Custom fields of customers and users in messages: ``{{ customer.custom.<key> }}``, ``{{ user.custom.<key> }}``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from app.db import text_in
from app.domain.custom.spec import Spec
from app.domain.custom.values import LONGEST_LINES, say
from app.domain.messaging import macros, template, values
from app.domain.messaging.macros import MacroSpec
from app.domain.messaging.system import compiled
from app.i18n import LANGUAGES, SOURCE, best, gettext, speaking
from app.models.custom import CustomKind
from app.models.customers import Customer
from app.models.users import User

EXAMPLES = {
    CustomKind.NUMBER: 7, CustomKind.MONEY: 125_000, CustomKind.DATE: "2026-05-31", CustomKind.YES_NO: True,
    CustomKind.LINK: "https://example.com", CustomKind.PHONE: "+49 30 1234567",
}  # fmt: skip
_declared: list[str] = []


def declare(specs: Iterable[Spec]) -> None:
    """Make these the custom fields that a text may use, and no others."""
    mine = [spec for spec in specs if spec.model in (Customer, User)]
    for name in _declared:
        del macros.MACROS[name], values.SOURCES[name], values.SAID[name]
    _declared.clear()
    for spec in mine:
        name = f"{spec.model.__tablename__}.custom.{spec.key}"
        _declared.append(name)
        macros.MACROS[name] = macro(spec, name)
        model: Any = spec.model
        values.SOURCES[name] = text_in(model.custom, spec.key)
        values.SAID[name] = _said(spec)
    template.forget()  # what was right with other fields
    compiled.cache_clear()


def macro(spec: Spec, name: str) -> MacroSpec:
    """The field of a text of this name."""
    several = spec.kind is CustomKind.LONG
    return MacroSpec(name, spec.label, _example(spec), LONGEST_LINES if several else macros.LONGEST, several)


def _example(spec: Spec) -> str:
    if spec.kind is CustomKind.LONG:
        return gettext("First line\nSecond line")
    value: Any = EXAMPLES.get(spec.kind)
    if spec.options:
        value = spec.options[0].key if spec.kind is CustomKind.CHOICE else [o.key for o in spec.options[:2]]
    return say(spec, value) if value is not None else gettext("Text")


def _said(spec: Spec) -> Callable[[str, Any], str]:
    return partial(_words, spec)


def _words(spec: Spec, language: str, stored: Any) -> str:
    """What stands in the message: `stored` as the database gives a value out of JSON, in the words of the language."""
    if stored in (None, ""):
        return ""
    value: Any = stored
    if spec.kind in (CustomKind.NUMBER, CustomKind.MONEY):
        try:
            value = int(stored)
        except (TypeError, ValueError):
            return str(stored)
    elif spec.kind is CustomKind.CHOICES:
        value = json.loads(stored) if isinstance(stored, str) and stored.startswith("[") else stored
    elif spec.kind is CustomKind.YES_NO:
        value = stored in (1, True, "true", "1")
    with speaking(best(language, tuple(LANGUAGES)) or SOURCE):
        return say(spec, value)
