"""The fields that a template may use, with what each is and an example. System mails have some of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.i18n import _

Values = Mapping[str, str]

LONGEST: Final = 500
"""Characters of a value that are put in; what is longer is cut. It keeps a message below `MAX_OUTPUT`."""


@dataclass(frozen=True, slots=True)
class MacroSpec:
    """A field that a template may use: its name, what it is (translated when shown), an example for the preview."""

    name: str
    label: str
    example: str
    longest: int = LONGEST
    lines: bool = False
    """Its line breaks stay in the HTML too."""

    @property
    def weight(self) -> int:
        """How many ordinary fields it counts as."""
        return -(-self.longest // LONGEST)


def by_name(*specs: MacroSpec) -> dict[str, MacroSpec]:
    return {spec.name: spec for spec in specs}


MACROS: Final[dict[str, MacroSpec]] = by_name(
    MacroSpec("customer.id", _("Customer ID"), "1042"),
    MacroSpec("customer.name", _("Account name"), "Müller & Söhne GmbH"),
    MacroSpec("customer.contact_person", _("Contact person"), "Jana Müller"),
    MacroSpec("customer.email", _("E-mail of the customer"), "office@example.com"),
    MacroSpec("customer.phone", _("Phone of the customer"), "+49 30 1234567"),
    MacroSpec("customer.country", _("Country of the customer (two letters)"), "DE"),
    MacroSpec("customer.language", _("Language of the customer (code)"), "de"),
    MacroSpec("user.name", _("Name of the user who receives the message"), "jana"),
    MacroSpec("user.email", _("E-mail of the user who receives the message"), "jana@example.com"),
    MacroSpec("project.name", _("Project"), "Nordhost"),
    MacroSpec("project.site", _("Web address of the project"), "https://nordhost.example"),
    MacroSpec("project.sender_name", _("Sender name of the project"), "Nordhost support"),
    MacroSpec("project.sender_email", _("Sender e-mail of the project"), "support@nordhost.example"),
    MacroSpec("staff.name", _("Staff member who sends the message"), "Alex Berg"),
)


def examples(*more: MacroSpec) -> dict[str, str]:
    """The example value of each field."""
    return {spec.name: spec.example for spec in (*MACROS.values(), *more)}
