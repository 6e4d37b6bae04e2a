"""What roles can grant, read from the screens: rows, columns and special grants of the matrix of a role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from admin_views.base import AppView
from admin_views.base.fields import ListField
from admin_views.base.frame import GROUPS
from app.domain.sessions import Grants, granted
from app.domain.staff import EVERYTHING
from app.i18n import _, gettext

Pair = tuple[str, str]

COLUMNS = {
    "list": _("See the list"),
    "details": _("Open one"),
    "create": _("Create"),
    "edit": _("Edit"),
    "delete": _("Delete"),
    "export": _("Export"),
}


class Trust(NamedTuple):
    """What takes special trust: shown with its own sign, and named on the card of a role that has it."""

    icon: str
    label: str
    pairs: tuple[Pair, ...]


TRUST = (
    Trust("message-2", _("Writes to one customer"), (("customer", "action:message"),)),
    Trust("send", _("Writes to many at once"), (("customer", "action:message_all"), ("segment", "action:message"))),
    Trust("login-2", _("Enters customers’ accounts"), (("customer", "action:enter"),)),
    Trust("pencil", _("Acts there for the customer"), (("customer", "action:act"),)),
    Trust("download", _("Takes data out as a file"), (("*", "export"),)),
    Trust("coins", _("Moves money"), (
        ("payment", "create"), ("payment", "action:set_paid"), ("payment", "action:refund"),
        ("payment", "action:cancel"), ("payment", "action:fraud"), ("customer", "action:payment"),
        ("account", "action:correct"), ("account", "action:transfer"), ("account", "action:refund"),
        ("invoice", "action:pay"), ("invoice", "action:credit"), ("expense", "action:take_back"),
    )),
    Trust("shield-lock", _("Gives colleagues their rights"), tuple(
        (screen, action) for screen in ("role", "staff") for action in ("create", "edit")
    )),
)  # fmt: skip


class Box(NamedTuple):
    """One grant in the matrix. implied: another grant of the role holds it too. locked: the reader does not hold it."""

    value: str
    column: str
    label: str
    name: str
    checked: bool
    implied: bool
    locked: bool
    icon: str


class Line(NamedTuple):
    identity: str
    label: str
    icon: str
    boxes: tuple[Box | None, ...]
    """One per column; None: the screen has no such thing."""
    special: tuple[Box, ...]


class Matrix(NamedTuple):
    columns: dict[str, str]
    everything: Box
    everywhere: Line
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    locked: bool
    """The reader does not hold everything, so some boxes cannot be ticked."""


def _screens() -> tuple[type[AppView], ...]:
    from admin_views.screens import SCREENS

    return tuple(view for view in SCREENS if not view.own)  # one's own work is nobody's to grant


def of_screen(view: type[AppView]) -> dict[str, str]:
    """The actions that the screen asks for, with their labels: columns first, then what its buttons need."""
    has = {"list", *(["details"] if view.can_view_details else [])}
    if not view.readonly:
        can = {"create": view.can_create, "edit": view.can_edit, "delete": view.can_delete}
        has |= {action for action, allowed in can.items() if allowed}
    labels = {action: str(label) for action, label in view.more_grants.items()}
    for button in cast(Any, view).all_buttons(view):
        labels.setdefault(button.action, str(button.label))
        if button.grant_all:
            labels.setdefault(button.grant_all, str(button.label))
    found = {a: gettext(label) for a, label in COLUMNS.items() if a in has or a in labels}
    return found | {a: label for a, label in labels.items() if a not in COLUMNS}


def known() -> dict[Pair, str]:
    """Everything that can be granted: (screen, action) -> its label."""
    every = gettext("Everywhere")
    pairs = {EVERYTHING: gettext("Everything, special grants too")}
    pairs |= {("*", action): f"{every}: {gettext(label)}" for action, label in COLUMNS.items()}
    for view in _screens():
        pairs |= {(view.identity, a): f"{view.name_plural}: {label}" for a, label in of_screen(view).items()}
    return pairs


def trusted(held: Grants) -> list[Trust]:
    """What of these grants takes special trust."""

    def has(pair: Pair) -> bool:
        return granted(held, *pair) or (pair[0] == "*" and any(action == pair[1] for _screen, action in held))

    return [t._replace(label=gettext(t.label)) for t in TRUST if any(map(has, t.pairs))]


def matrix(held: Iterable[Pair], own: Grants) -> Matrix:
    """The matrix of a role that holds these pairs, for a reader who holds `own`."""
    ticked = frozenset(held)
    icons = {pair: t.icon for t in TRUST for pair in t.pairs}

    def box(screen: str, action: str, label: str, where: str) -> Box:
        pair = (screen, action)
        without = ticked - {pair}
        return Box(
            f"{screen} {action}", action, label, f"{where}: {label}", pair in ticked,
            granted(without, screen, action), not granted(own, screen, action), icons.get(pair, ""),
        )  # fmt: skip

    def line(identity: str, label: str, icon: str, labels: dict[str, str]) -> Line:
        columns = tuple(box(identity, a, labels[a], label) if a in labels else None for a in COLUMNS)
        kept = sorted(a for screen, a in ticked if screen == identity and a not in labels)
        special = {a: text for a, text in labels.items() if a not in COLUMNS} | {a: _word(a) for a in kept}
        return Line(identity, label, icon, columns, tuple(box(identity, a, t, label) for a, t in special.items()))

    every = gettext("Everywhere")
    groups: dict[str, list[Line]] = {str.__str__(g): [] for g in (*GROUPS, "")}
    for view in _screens():
        one = line(view.identity, str(view.name_plural), view.icon, of_screen(view))
        groups.setdefault(str.__str__(view.category), []).append(one)
    everything = box("*", "*", gettext("Everything, special grants too"), every)
    wide = line("*", every, "stack-2", {a: gettext(label) for a, label in COLUMNS.items()})
    return Matrix(
        {action: gettext(label) for action, label in COLUMNS.items()},
        everything,
        wide._replace(special=tuple(b for b in wide.special if b.column != "*")),  # that is `everything`
        tuple((gettext(g) if g else gettext("Beside the menu"), tuple(lines)) for g, lines in groups.items() if lines),
        EVERYTHING not in own,
    )


def _word(action: str) -> str:
    """The name of what the screen does not offer (any more)."""
    if action == "*":
        return gettext("Everything here")
    return gettext(COLUMNS[action]) if action in COLUMNS else action.removeprefix("action:").replace("_", " ")


class GrantsField(ListField):
    """The grants of a role as a matrix of check boxes; data is a list of "screen action"."""

    def __init__(self, *args: Any, own: Grants = frozenset(), held: Iterable[Pair] = (), **kwargs: Any) -> None:
        pairs = {**{pair: " ".join(pair) for pair in held}, **known()}
        super().__init__(*args, choices=[(" ".join(pair), label) for pair, label in pairs.items()], **kwargs)
        self.own = own

    @property
    def matrix(self) -> Matrix:
        return matrix([cast(Pair, tuple(text.split(" ", 1))) for text in self.data or [] if " " in text], self.own)
