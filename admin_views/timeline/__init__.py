"""The timeline of a customer's card: everything that happened, newest first. A noun joins in `sources`."""

from admin_views.timeline.engine import context

__all__ = ["context"]
