"""How a custom field may be called: a slug of its name that nothing else of its model has."""

from __future__ import annotations

import keyword
import re
import unicodedata

from sqlalchemy import inspect

from app import filters
from app.db.inside import KEY
from app.domain.checks import Bad
from app.domain.custom.spec import PREFIX, Model
from app.i18n import gettext

RESERVED = frozenset((
    "action", "after", "all", "and", "any", "before", "csrf", "customer", "custom", "customs", "false", "field",
    "filter", "filters", "from", "id", "ids", "in", "is", "key", "keys", "label", "labels", "last", "loop", "n", "name",
    "names", "none", "not", "null", "op", "or", "page", "payer", "pin", "pks", "project", "search", "self", "service",
    "size", "sort", "staff", "to", "true", "undefined", "user", "value", "values", "version", "view", "views", "where",
))  # fmt: skip
"""Words of addresses, filters, templates and forms."""
_CYRILLIC = dict(
    zip("абвгдезийклмнопрстуфцыэ", "abvgdeziyklmnoprstufcye", strict=True),
    ж="zh", х="h", ч="ch", ш="sh", щ="sch", ъ="", ь="", ю="yu", я="ya", ё="e", ß="ss", æ="ae", ø="o", ł="l",
)  # fmt: skip


def slug(text: str) -> str:
    """A key of a name: "Größe (cm)" -> groesse_cm; Russian in Latin letters. Empty when nothing of it is left."""
    lower = text.casefold().translate({ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue"})
    latin = "".join(_CYRILLIC.get(c, c) for c in unicodedata.normalize("NFC", lower))
    plain = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode()
    key = re.sub(r"[^a-z0-9]+", "_", plain).strip("_").lstrip("0123456789_")
    return key[:40].rstrip("_")


def check_key(model: Model, key: str) -> str:
    """The key, if it may be one. Raises Bad."""
    if not KEY.fullmatch(key) or key.startswith(PREFIX):
        raise Bad(gettext("A key begins with a letter and has only a to z, 0 to 9 and _, at most 40 characters."))
    if key in names_of(model):
        raise Bad(gettext("“%(key)s” is taken: they have a field of that name already. Please choose another key.")
                  % {"key": key})  # fmt: skip
    if key in RESERVED or keyword.iskeyword(key):
        raise Bad(gettext("“%(key)s” means something else to the program. Please choose another key.") % {"key": key})
    return key


def names_of(model: Model) -> set[str]:
    """What columns, relations, filters and message fields of the model are called."""
    from app.domain.messaging.macros import MACROS

    mapper = inspect(model)
    noun = f"{model.__tablename__}."
    return {
        *mapper.column_attrs.keys(), *mapper.relationships.keys(),
        *(name for name in filters.fields(model) if not name.startswith(PREFIX)),
        *(name.removeprefix(noun) for name in MACROS if name.startswith(noun)),
    }  # fmt: skip
