"""The table of a list, built in Python: with a hundred rows a template engine would take most of the page's time.

The look is that of the design language (templates/static/components.css, `.table`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from admin_views.base.buttons import Button
from admin_views.base.cells import ready
from app.i18n import gettext
from app.render import icon

MANY = 3
"""More actions than so many: two as icons, all of them in a menu."""


def head(columns: Iterable[dict[str, Any]], *, select: bool, actions: bool) -> str:
    """The row of headings. columns: [{label, css, sort_url, sorted}]."""
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
            label = f'<a class="sort" href="{escape(c["sort_url"])}">{label}{arrow}</a>'
        room = '<span class="cur"></span>' if "amount" in c["css"].split() else ""
        parts.append(f'<th scope="col"{css}{sorted_by}>{label}{room}</th>')
    if actions:
        parts.append(f'<th><span class="sr">{escape(gettext("Actions"))}</span></th>')
    parts.append("</tr></thead>")
    return "".join(parts)


def _action(button: Button, identity: str, pk: str, row: str) -> str:
    label, url = escape(str(button.label)), escape(button.url(identity, pk))
    return (
        f'<a class="btn plain square sm" href="{url}" aria-label="{label}: {row}" title="{label}">'
        f"{icon(button.icon)}</a>"
    )


def actions(buttons: Sequence[Button], identity: str, pk: str, row: str) -> str:
    """The last cell of a row: its buttons. `row`: the escaped label of the row."""
    if not buttons:
        return '<td class="acts-cell"></td>'
    shown = buttons if len(buttons) <= MANY else buttons[: MANY - 1]
    icons = "".join(_action(b, identity, pk, row) for b in shown)
    if len(buttons) <= MANY:
        return f'<td class="acts-cell"><div class="acts">{icons}</div></td>'
    more = escape(gettext("More for %(name)s")) % {"name": row}
    danger = ' class="t-bad"'
    items = "".join(
        f'<a href="{escape(b.url(identity, pk))}"{danger if b.danger else ""}>{icon(b.icon)}{escape(str(b.label))}</a>'
        for b in buttons
    )
    target = f"m-{identity}-{pk}"
    return (
        f'<td class="acts-cell"><div class="acts">{icons}<button class="btn plain square sm" type="button" '
        f'popovertarget="{target}" aria-label="{more}">{icon("dots")}</button></div>'
        f'<div class="pop float" id="{target}" popover>{items}</div></td>'
    )


def row(
    *, pk: str, label: str, url: str | None, cells: Sequence[tuple[str, str]], lead: int, select: bool, last: str
) -> str:
    """One row. cells: (css, HTML). lead: which cell names the row and carries its link. last: the cell of actions."""
    name, pk = escape(label), escape(pk)
    parts = ["<tr>"]
    if select:
        text = escape(gettext("Select %(name)s")) % {"name": name}
        parts.append(f'<td class="sel"><input type="checkbox" data-check value="{pk}" aria-label="{text}"></td>')
    for i, (css, html) in enumerate(cells):
        if i == lead:
            css = css if "lead" in css or css == "id" else f"{css} lead".strip()
            if url and "<a " not in html:
                html = f'<a href="{url}">{html or name}</a>'
        parts.append(f'<td class="{css}">{html}</td>' if css else f"<td>{html}</td>")
    parts.append(last)
    parts.append("</tr>")
    return "".join(parts)


def table(head_html: str, rows: Iterable[str], *, sticky: bool = False) -> Markup:
    css = "table folds sticky" if sticky else "table folds"
    return ready(f'<table class="{css}">{head_html}<tbody>{"".join(rows)}</tbody></table>')
