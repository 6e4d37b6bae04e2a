"""Alembic's entry. What happens is in app/migrations.py, where it is type-checked."""

from alembic import context

from app import migrations

migrations.run_env(context)
