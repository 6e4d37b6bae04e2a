"""The headings of forms and cards that can be given own names: those of the columns, and what screens say besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from admin_views.base import AppView
from admin_views.base.plan import Plan
from app.i18n import HEADING, Lazy, Named, named

MORE: Mapping[str, tuple[str, ...]] = {
    "audit": ("Changes",),
    "automation_rule": ("When", "If", "What it does", "Log"),
    "automation_run": ("What happened", "Condition", "What was done"),
    "bulk_run": ("What changes", "For example"),
    "campaign": ("Opened and clicked", "Came back", "By language"),
    "custom_field": ("Names", "Choices", "Use", "Other languages and the key"),
    "customer": (
        "Contact", "Notes", "Services", "Users", "Timeline", "Lately", "Perhaps the same customer",
        "Merged into this one", "Personal data cleared", "They ask for deletion", "Roles of their own",
        "Invited, not answered yet",
    ),
    "account": ("Statement",),
    "discount": ("Who gets it",),
    "expense": ("Discounts",),
    "import_run": ("What is not undone", "About the file", "Rows that are left out", "Remarks", "Columns"),
    "inbound_mail": ("Text", "Why", "Attachments"),
    "invoice": (
        "From", "To", "Lines", "Payments", "Story", "Note", "Discounts", "What does not fit", "Booked on the account",
        "What the customer was told", "What happened", "Who did what",
    ),
    "job": ("Rows that are left out",),
    "message_template": ("What is missing", "Versions"),
    "payment": (
        "For these invoices", "What does not fit", "Booked on the account", "What the customer was told",
        "What happened", "Who did what",
    ),
    "product": ("Prices",),
    "role": ("May", "Dashboard to start with"),
    "service": ("The next charge", "Discounts"),
    "staff": ("Sees",),
    "ticket": ("Conversation", "Ticket", "History", "Customer", "Other tickets"),
    "user": ("Customers",),
}  # fmt: skip
"""Name of a screen -> the headings that its own sections have, in the words that are translated."""


def of(view: AppView, plan: Plan) -> Iterator[Named]:
    """Every heading of the screen, as a label that can be renamed."""
    said = [label for label, _names in (*plan.form, *plan.details, *view.extra_groups)]
    said += ["Details", "More", *(r.label for r in view.related if r.label), *MORE.get(view.identity, ())]
    for words in dict.fromkeys(str.__str__(label) for label in said if label):
        made = named(Lazy(words), view.identity, HEADING + words)
        assert isinstance(made, Named)
        yield made
