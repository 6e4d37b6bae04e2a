"""Background work: thin, repeatable functions that call a verb."""

import app  # noqa: F401  # says what is loaded late, before anything else is
