"""Messages: categories, templates, campaigns with their deliveries, and the composer."""
