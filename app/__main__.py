"""`python -m app` is the `bursar` command."""

import sys

from app.cli import main

sys.exit(main())
