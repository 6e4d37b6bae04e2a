"""`python -m app.migrations`: migrate a database made for the purpose and compare it with the models."""

import sys
import tempfile

from app.errors import AppError
from app.migrations import check, head, upgrade
from app.settings import load


def main() -> int:
    """Print what has drifted; 1 when anything has, else 0."""
    with tempfile.TemporaryDirectory(prefix="bursar-drift-") as folder:
        settings = load({"BURSAR_DATA_DIR": folder})
        try:
            upgrade(settings)
            found = check(settings)
        except AppError as problem:
            found = [str(problem)]
    for line in found:
        print(f"drift: {line}", file=sys.stderr)
    if not found:
        print(f"no drift: models and migrations agree at {head()}")
    return 1 if found else 0


sys.exit(main())
