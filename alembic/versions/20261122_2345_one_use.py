"""one use: links in mails, and the way to the second step of signing in

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-22 23:45:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0019'
down_revision: str | None = '0018'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'one_use',
        sa.Column('id', key, nullable=False),
        sa.Column(
            'kind',
            sa.Enum('confirm', 'reset', 'invite', 'email', 'step', 'passkey', name='oneusekind', native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column('token_hash', sa.String(length=64), nullable=False),
        sa.Column('staff_id', key, nullable=True),
        sa.Column('user_id', key, nullable=True),
        sa.Column('data', app.db.Json, nullable=False),
        sa.Column('expires_at', app.db.UtcDateTime(), nullable=False),
        sa.Column('used_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_one_use_staff_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_one_use_user_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_one_use')),
        sa.UniqueConstraint('token_hash', name=op.f('uq_one_use_token_hash')),
    )
    with op.batch_alter_table('one_use') as batch_op:
        batch_op.create_index('ix_one_use_expires', ['expires_at'])
        batch_op.create_index(batch_op.f('ix_one_use_staff_id'), ['staff_id'])
        batch_op.create_index(batch_op.f('ix_one_use_user_id'), ['user_id'])


def downgrade() -> None:
    op.drop_table('one_use')
