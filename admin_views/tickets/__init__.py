"""Tickets: the staff inbox, the talk with its answer box, canned replies."""
