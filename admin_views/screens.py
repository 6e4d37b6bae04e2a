"""All screens, in the order of the menu. A model without a screen says so here."""

from __future__ import annotations

from admin_views.attachments import Attachments
from admin_views.audit import AuditRows
from admin_views.base import AppView
from admin_views.billing import Payers, PaymentMethods
from admin_views.catalog import ProductGroups, Products, Services
from admin_views.consent import Subscriptions, Suppressions
from admin_views.customers.dictionaries import Attitudes, Groups, Notes
from admin_views.customers.screens import Customers
from admin_views.imports import Imports
from admin_views.inbound import InboundMails
from admin_views.jobs import Jobs
from admin_views.messaging.screens import Campaigns, Categories, Deliveries
from admin_views.messaging.segments import Segments
from admin_views.messaging.templates import Templates
from admin_views.projects import Projects
from admin_views.staff import Roles, StaffMembers
from admin_views.tickets.canned import CannedReplies
from admin_views.tickets.screens import Tickets
from admin_views.users import Users

SCREENS: tuple[type[AppView], ...] = (
    Customers,
    Users,
    Payers,
    Groups,
    Notes,
    Services,
    Products,
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
    Attitudes,
    Categories,
    ProductGroups,
    PaymentMethods,
    StaffMembers,
    Roles,
    Imports,
    Jobs,
    AuditRows,
)

WITHOUT_SCREEN = {
    "audit_detail": "shown on the audit card",
    "campaign_attachment": "shown on the campaign card",
    "campaign_text": "shown on the campaign card",
    "customer_project": "part of the customer form",
    "delivery_event": "counted in the report of a campaign",
    "external_ref": "bookkeeping of imports",
    "group_payment_method": "part of the group form",
    "group_product": "part of the group form",
    "login_session": "bookkeeping of sign-ins; the audit shows them",
    "membership": "part of the customer form",
    "message_template_text": "part of the template form",
    "message_template_version": "shown on the template card",
    "product_project": "part of the product form",
    "role_grant": "part of the role form",
    "staff_project": "part of the staff form",
    "staff_role": "part of the staff form",
    "throttle": "counters",
    "ticket_attachment": "shown in the ticket",
    "ticket_message": "shown in the ticket",
    "user_customer": "part of the user form",
}
"""Table -> why it has no screen of its own; a test fails for any other table without one."""
