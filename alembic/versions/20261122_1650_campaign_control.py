"""pausing campaigns, their pace and their limit of failures

Revision ID: 0006m
Revises: 0005
Create Date: 2026-11-22 16:50:00
"""

import sqlalchemy as sa
from alembic import op


revision: str = '0006m'
down_revision: str | None = '0005'
branch_labels: str | None = None
depends_on: str | None = None

NUMBERS = (('per_second', '0'), ('per_domain_second', '0'), ('stop_percent', '0'), ('stop_window', '200'), ('run', '0'))


def upgrade() -> None:
    with op.batch_alter_table('campaign', schema=None) as batch_op:
        for name, default in NUMBERS:
            batch_op.add_column(sa.Column(name, sa.Integer(), server_default=default, nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('campaign', schema=None) as batch_op:
        for name, _default in reversed(NUMBERS):
            batch_op.drop_column(name)
