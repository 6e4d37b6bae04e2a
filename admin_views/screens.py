"""All screens, in the order of the menu. A model without a screen says so here."""

from __future__ import annotations

from admin_views.attachments import Attachments
from admin_views.audit import AuditRows
from admin_views.automation import RuleRuns, Rules
from admin_views.base import AppView
from admin_views.billing.documents import Documents, DocumentTemplates
from admin_views.billing.expenses import Expenses
from admin_views.billing.invoices import Invoices
from admin_views.billing.payers import Payers, PaymentMethods
from admin_views.billing.payments import Payments
from admin_views.billing.rates import ExchangeRates, TaxRates
from admin_views.bulk import BulkRuns
from admin_views.catalog import ProductGroups, Products, Services
from admin_views.consent import Subscriptions, Suppressions
from admin_views.custom import CustomFields
from admin_views.customers.dictionaries import Attitudes, Groups, Notes
from admin_views.customers.screens import Customers
from admin_views.discounts import Discounts
from admin_views.imports import Imports
from admin_views.inbound import InboundMails
from admin_views.jobs import Jobs
from admin_views.labels import Names
from admin_views.ledger import Accounts
from admin_views.messaging.screens import Campaigns, Categories, Deliveries
from admin_views.messaging.segments import Segments
from admin_views.messaging.templates import Templates
from admin_views.projects import Projects
from admin_views.staff import Roles, StaffMembers
from admin_views.tickets.canned import CannedReplies
from admin_views.tickets.screens import Tickets
from admin_views.users import Users
from admin_views.views import SavedViews
from admin_views.visits import Visits

SCREENS: tuple[type[AppView], ...] = (
    Customers,
    Users,
    Payers,
    Groups,
    Notes,
    Accounts,
    Payments,
    Invoices,
    Expenses,
    Services,
    Products,
    Discounts,
    Documents,
    Campaigns,
    Segments,
    Deliveries,
    Suppressions,
    Subscriptions,
    Tickets,
    InboundMails,
    CannedReplies,
    Templates,
    Attachments,
    Projects,
    CustomFields,
    Attitudes,
    Categories,
    ProductGroups,
    PaymentMethods,
    TaxRates,
    ExchangeRates,
    DocumentTemplates,
    StaffMembers,
    Roles,
    Rules,
    RuleRuns,
    SavedViews,
    Names,
    Imports,
    BulkRuns,
    Jobs,
    Visits,
    AuditRows,
)

WITHOUT_SCREEN = {
    "customer_role": "made by customers, shown with their users",
    "audit_detail": "shown on the audit card",
    "bulk_row": "bookkeeping of bulk changes",
    "automation_below": "bookkeeping of rules",
    "touched": "bookkeeping of rules",
    "automation_notice": "the bell shows them",
    "campaign_attachment": "shown on the campaign card",
    "campaign_text": "shown on the campaign card",
    "config_version": "a counter",
    "confirmation": "invitations are shown with the users; codes and links for a while",
    "customer_project": "part of the customer form",
    "door_code": "short-lived; the client area shows it to its customer",
    "data_request": "the customer sees it; a deletion is a ticket for staff",
    "delivery_event": "counted in the report of a campaign",
    "external_ref": "bookkeeping of imports",
    "import_row": "bookkeeping of imports",
    "group_payment_method": "part of the group form",
    "group_product": "part of the group form",
    "invoice_line": "shown on the invoice card",
    "invoice_payment": "shown on the invoice card",
    "ledger_entry": "the statement on the account card",
    "ledger_transaction": "the statement on the account card",
    "ledger_check": "what is broken, on the first page",
    "one_use": "links in mails; their use is audited",
    "passkey": "the person's own; shown on their security page",
    "recovery_code": "the person's own; only hashes are kept",
    "membership": "part of the customer form",
    "message_template_text": "part of the template form",
    "message_template_version": "shown on the template card",
    "number_series": "counters",
    "payment_event": "shown on the payment card",
    "payment_invoice": "shown on the payment card",
    "product_price": "part of the product form",
    "product_project": "part of the product form",
    "role_grant": "part of the role form",
    "setting": "the pages Configuration and Modules",
    "staff_project": "part of the staff form",
    "staff_role": "part of the staff form",
    "throttle": "counters",
    "ticket_attachment": "shown in the ticket",
    "ticket_message": "shown in the ticket",
    "registration": "nobody yet: it becomes a customer when the address is confirmed",
    "two_factor": "the person's own; shown on their security page",
    "user_customer": "part of the user form",
    "widget": "the person's own; shown on their first page",
}
"""Table -> why it has no screen of its own; a test fails for any other table without one."""
