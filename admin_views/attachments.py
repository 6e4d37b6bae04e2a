"""Files used before: found again by the composer's search."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import ColumnElement

from admin_views.base import AppView
from admin_views.base.cells import size
from app.i18n import _
from app.models.attachments import Attachment


class Attachments(AppView, model=Attachment):
    name, name_plural, icon, category = _("File"), _("Files"), "paperclip", "Messages"
    readonly = True
    can_create = can_edit = can_delete = False

    def always(self) -> list[ColumnElement[bool]]:
        """Only what staff have uploaded; customers' files stand in their tickets."""
        return [Attachment.customer_id.is_(None)]

    @staticmethod
    def cell_name(file: Attachment) -> Markup:
        return Markup('<a href="/files/{}" download><bdi>{}</bdi></a>').format(file.id, file.name)

    def lookup_label(self, obj: Any) -> str:
        return f"{obj.name} ({size(obj.size)})"
