"""issued invoices stay as they are: triggers

Revision ID: 0012i
Revises: 0012l
Create Date: 2026-11-22 20:35:00
"""

revision: str = '0012i'
down_revision: str | None = '0012l'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """The triggers of `app.db.extras` are made anew after each migration."""


def downgrade() -> None:
    pass
