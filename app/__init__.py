"""Bursar: the customer desk of a service provider."""
