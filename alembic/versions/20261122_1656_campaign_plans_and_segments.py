"""plans, quiet hours and approval of campaigns; segments; the time zone of projects

Revision ID: 0007m
Revises: 0006m
Create Date: 2026-11-22 16:56:12.580142
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0007m'
down_revision: str | None = '0006m'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table('segment',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('name_folded', sa.Text(), server_default='', nullable=False),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('condition', app.db.Json, nullable=False),
    sa.Column('staff_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_segment_staff_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_segment')),
    sa.UniqueConstraint('staff_id', 'name', name=op.f('uq_segment_staff_id_name'))
    )
    with op.batch_alter_table('campaign', schema=None) as batch_op:
        batch_op.add_column(sa.Column('send_at', app.db.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column('local_at', sa.String(length=16), server_default='', nullable=False))
        batch_op.add_column(sa.Column('grace_minutes', sa.Integer(), server_default='60', nullable=False))
        batch_op.add_column(sa.Column('quiet_from', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('quiet_until', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('approved_at', app.db.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column('approved_by', sa.String(length=200), server_default='', nullable=False))
    with op.batch_alter_table('message_category', schema=None) as batch_op:
        batch_op.add_column(sa.Column('approval_above', sa.Integer(), server_default='0', nullable=False))

    with op.batch_alter_table('project', schema=None) as batch_op:
        batch_op.add_column(sa.Column('timezone', sa.String(length=64), server_default='UTC', nullable=False))



def downgrade() -> None:
    with op.batch_alter_table('project', schema=None) as batch_op:
        batch_op.drop_column('timezone')

    with op.batch_alter_table('message_category', schema=None) as batch_op:
        batch_op.drop_column('approval_above')

    with op.batch_alter_table('campaign', schema=None) as batch_op:
        batch_op.drop_column('approved_at')
        batch_op.drop_column('approved_by')
        batch_op.drop_column('quiet_until')
        batch_op.drop_column('quiet_from')
        batch_op.drop_column('grace_minutes')
        batch_op.drop_column('local_at')
        batch_op.drop_column('send_at')

    op.drop_table('segment')
