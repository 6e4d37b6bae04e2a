"""issued invoices stay as they are: triggers

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-22 20:35:00
"""

revision: str = '0016'
down_revision: str | None = '0015'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """The triggers of `app.db.extras` are made anew after each migration."""


def downgrade() -> None:
    pass
