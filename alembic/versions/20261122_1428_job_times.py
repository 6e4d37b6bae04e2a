"""when a job was started and when it ended

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-22 14:28:12.402381
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0004'
down_revision: str | None = '0003'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.add_column(sa.Column('started_at', app.db.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column('finished_at', app.db.UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.drop_column('finished_at')
        batch_op.drop_column('started_at')
