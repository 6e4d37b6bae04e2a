"""THE filter language: lists, saved views, audiences, groups, discounts, exports and bulk changes all speak it.

A condition is data: ``{"all": [{"field": "name", "op": "contains", "value": "koh"}, ...]}``, also ``any``, ``not``,
and for related rows ``{"field": "services", "op": "has", "where": {...}}``. What there is to filter by is read from
the models (`fields`); models declare more with `computed` and `relation`.

- SQL NULL counts as false before `not`; ``is_not``, ``not_in``, ``is_empty``, ``has_none`` are the Not of their twin.
- A day is a day of the reader (`i18n.zone`): ``after`` a day begins when it is over, ``before`` it ends when it
  begins; ``from``, ``until`` and ``between`` include the day. ``-30d`` and ``12h`` are counted from now.
- Values of money are minor units, whatever the currency.
"""

from app.filters.compiling import compile, compile_stored, explain, search
from app.filters.conditions import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_LIST,
    MAX_STRING,
    MAX_VALUES,
    All,
    Any,
    Condition,
    FilterProblem,
    Leaf,
    Not,
    is_empty,
    to_json,
    walk,
)  # fmt: skip
from app.filters.fields import (
    LISTS,
    Field,
    Kind,
    Source,
    computed,
    field,
    fields,
    moves,
    refs,
    relation,
    say,
    value,
    withdraw,
)  # fmt: skip
from app.filters.parsing import WHOLE, Allowed, draft, from_query, loads, parse, parse_text, to_query

__all__ = [
    "LISTS", "MAX_CONDITIONS", "MAX_DEPTH", "MAX_LIST", "MAX_STRING", "MAX_VALUES", "WHOLE", "All", "Allowed",
    "Any", "Condition", "Field", "FilterProblem", "Kind", "Leaf", "Not", "Source", "compile", "compile_stored",
    "computed", "draft", "explain", "field", "fields", "from_query", "is_empty", "loads", "moves", "parse",
    "parse_text", "refs", "relation", "say", "search", "to_json", "to_query", "value", "walk", "withdraw",
]  # fmt: skip
