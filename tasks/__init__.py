"""Background work: thin, repeatable functions that call a verb."""
