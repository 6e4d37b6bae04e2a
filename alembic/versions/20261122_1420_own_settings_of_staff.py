"""own settings of staff, and an index for whose tickets wait

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-22 14:20:00
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0002'
down_revision: str | None = '0001'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.batch_alter_table('staff', schema=None) as batch_op:
        batch_op.add_column(sa.Column('theme', sa.Enum('system', 'light', 'dark', name='theme', native_enum=False, length=24), server_default='system', nullable=False))
        batch_op.add_column(sa.Column('density', sa.Enum('compact', 'normal', 'roomy', name='density', native_enum=False, length=24), server_default='normal', nullable=False))
        batch_op.add_column(sa.Column('shortcuts', sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column('seen_at', app.db.UtcDateTime(), nullable=True))
    with op.batch_alter_table('ticket', schema=None) as batch_op:
        batch_op.drop_index('ix_ticket_assigned_id')
        batch_op.create_index('ix_ticket_assigned', ['assigned_id', 'status', 'updated_at'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('ticket', schema=None) as batch_op:
        batch_op.drop_index('ix_ticket_assigned')
        batch_op.create_index('ix_ticket_assigned_id', ['assigned_id'], unique=False)
    with op.batch_alter_table('staff', schema=None) as batch_op:
        batch_op.drop_column('seen_at')
        batch_op.drop_column('shortcuts')
        batch_op.drop_column('density')
        batch_op.drop_column('theme')
