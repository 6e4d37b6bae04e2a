"""Customers and what belongs to them: groups, attitudes, notes."""
