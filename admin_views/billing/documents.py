"""Finance documents and their templates."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.billing import Document, DocumentTemplate


class Documents(AppView, model=Document):
    name, name_plural, icon, category = _("Finance document"), _("Finance documents"), "file-text", "Money"
    purpose = _("Acts, contracts and reconciliation reports.")
    readonly = True


class DocumentTemplates(AppView, model=DocumentTemplate):
    name, name_plural, icon, category = _("Document template"), _("Document templates"), "template", "Configuration"
    purpose = _("What acts, contracts and reports are made from.")
    readonly = True
