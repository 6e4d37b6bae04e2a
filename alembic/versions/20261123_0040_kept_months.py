"""kept months: income and expenses by month, counted by the night

Revision ID: 0028
Revises: 0027
Create Date: 2026-11-23 00:40:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0028'
down_revision: str | None = '0027'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column('ledger_check', sa.Column('months', app.db.Json, server_default='{}', nullable=False))
    op.add_column('ledger_check', sa.Column('until_id', sa.BigInteger(), server_default='0', nullable=False))


def downgrade() -> None:
    op.drop_column('ledger_check', 'until_id')
    op.drop_column('ledger_check', 'months')
