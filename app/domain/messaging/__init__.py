"""Messages: campaigns, deliveries and the templates that staff write."""
