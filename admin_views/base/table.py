"""The table of a list, built in Python: with a hundred rows a template engine would take most of the page's time.

What is the same in every row is made once per plan and language. The look is that of the design language
(templates/static/components.css, `.table`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from admin_views.base.buttons import Button
from admin_views.base.cells import Cell, Marker, escape, ready
from app.i18n import gettext, language
from app.render import icon

if TYPE_CHECKING:
    from admin_views.base.plan import Column, Plan

MANY = 2
"""More actions than so many: the first as icons, all of them in a menu, which is what a phone shows."""
PK, NAME = "\0p", "\0n"
"""Where the key and the escaped label of a row go in what is made once."""


def head(columns: Iterable[dict[str, Any]], *, select: bool, actions: bool) -> str:
    """The row of headings. columns: [{key, label, css, sort_url, sorted}]."""
    parts = ["<thead><tr>"]
    if select:
        label = escape(gettext("Select all on this page"))
        parts.append(f'<th class="sel"><input type="checkbox" data-check-all aria-label="{label}"></th>')
    for c in columns:
        css = f' class="{c["css"]}"' if c["css"] else ""
        sorted_by = f' aria-sort="{c["sorted"]}"' if c["sorted"] else ""
        label = escape(str(c["label"]))
        if c["sort_url"]:
            arrow = icon("arrow-up" if c["sorted"] == "ascending" else "arrow-down", "tiny") if c["sorted"] else ""
            label = f'<a class="sort" id="by-{c["key"]}" href="{escape(c["sort_url"])}">{label}{arrow}</a>'
        room = '<span class="cur"></span>' if "amount" in c["css"].split() else ""
        parts.append(f'<th scope="col"{css}{sorted_by}>{label}{room}</th>')
    if actions:
        parts.append(f'<th class="acts-cell"><span class="sr">{escape(gettext("Actions"))}</span></th>')
    parts.append("</tr></thead>")
    return "".join(parts)


def _action(button: Button, identity: str) -> str:
    label, url = escape(str(button.label)), escape(button.url(identity, PK))
    return (
        f'<a class="btn plain square sm" href="{url}" aria-label="{label}: {NAME}" title="{label}">'
        f"{icon(button.icon)}</a>"
    )


def actions(buttons: Sequence[Button], identity: str) -> str:
    """The last cell of a row: its buttons, with `PK` and `NAME` in the places of the row's own."""
    if not buttons:
        return '<td class="acts-cell"></td>'
    shown = buttons[:MANY]
    icons = "".join(_action(b, identity) for b in shown)
    if len(buttons) <= MANY:
        return f'<td class="acts-cell"><div class="acts">{icons}</div></td>'
    more = escape(gettext("More for %(name)s")) % {"name": NAME}
    danger = ' class="t-bad"'
    items = "".join(
        f'<a href="{escape(b.url(identity, PK))}"{danger if b.danger else ""}>{icon(b.icon)}{escape(str(b.label))}</a>'
        for b in buttons
    )
    target = f"m-{identity}-{PK}"
    return (
        f'<td class="acts-cell"><div class="acts">{icons}<button class="btn plain square sm" type="button" '
        f'popovertarget="{target}" aria-label="{more}">{icon("dots")}</button></div>'
        f'<div class="pop float" id="{target}" popover>{items}</div></td>'
    )


class Rows:
    """How the rows of one plan look."""

    def __init__(self, plan: Plan) -> None:
        self.view, self.linked, self.buttons = plan.view, plan.linked, plan.buttons["row"]
        self.sometimes = any(b.shown is not None for b in self.buttons)
        shown = plan.columns
        named = [i for i, c in enumerate(shown) if "lead" in c.css.split()]
        self.lead = (named or [i for i, c in enumerate(shown) if c.css != "id"] or [0])[0]
        self.shown = shown
        self._cells: dict[str, list[tuple[str, Cell, bool]]] = {}
        self._made: dict[tuple[str, ...], str] = {}

    @property
    def cells(self) -> list[tuple[str, Cell, bool]]:
        """Of each column, in the reader's language: what opens its cells, what fills them, whether words are marked."""
        made = self._cells.get(language())
        if made is None:
            made = [(self._opening(i, c), c.cell, c.searched or i == self.lead) for i, c in enumerate(self.shown)]
            self._cells[language()] = made
        return made

    def _opening(self, i: int, column: Column) -> str:
        words = column.css.split()
        if i == self.lead:
            words = [*(w for w in words if w not in ("col-more", "lead")), "lead"]
        label = f' data-label="{escape(str(column.label))}"' if "col-more" in words else ""
        return f'<td class="{" ".join(words)}"{label}>' if words else "<td>"

    def actions(self, obj: Any, pk: str, name: str) -> str:
        """The cell of actions of one row, in the reader's language."""
        buttons: Sequence[Button] = self.buttons
        key: tuple[str, ...] = (language(),)
        if self.sometimes:
            buttons = tuple(b for b in buttons if b.shown is None or b.shown(obj))
            key += tuple(b.slug for b in buttons)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = actions(buttons, self.view.identity)
        return made.replace(PK, pk).replace(NAME, name)

    def made(self, rows: Iterable[Any], *, select: bool, mark: Marker | None = None) -> list[str]:
        """The rows as HTML. select: each with a box. mark: what was searched for is marked."""
        view, lead = self.view, self.lead
        text, cells = escape(gettext("Select %(name)s")), self.cells
        made = []
        for obj in rows:
            pk, name = escape(view.pk_of(obj)), escape(view.row_label(obj))
            parts = ["<tr>"]
            if select:
                label = text % {"name": name}
                parts.append(
                    f'<td class="sel"><input type="checkbox" data-check value="{pk}" aria-label="{label}"></td>'
                )
            for i, (opening, cell, searched) in enumerate(cells):
                html = cell(obj)
                if i == lead and self.linked and "<a " not in html:
                    html = f'<a href="{view.card_url(pk)}">{html or name}</a>'
                if mark and searched:
                    html = mark(html)
                parts.append(f"{opening}{html}</td>")
            if self.buttons:
                parts.append(self.actions(obj, pk, name))
            parts.append("</tr>")
            made.append("".join(parts))
        return made


def table(head_html: str, rows: Iterable[str], *, sticky: bool = False) -> Markup:
    css = "table folds sticky" if sticky else "table folds"
    return ready(f'<table class="{css}">{head_html}<tbody>{"".join(rows)}</tbody></table>')
