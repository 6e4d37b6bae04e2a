"""The screen engine. A screen declares; this package turns the declaration into list, form, card, buttons."""

from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.fields import AppForm, LookupField
from admin_views.base.plan import plan_of
from admin_views.base.screen import AppView, Related

__all__ = ["AppForm", "AppView", "Button", "Done", "Flow", "LookupField", "Press", "Related", "plan_of"]
