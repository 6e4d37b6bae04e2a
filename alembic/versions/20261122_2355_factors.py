"""factors: authenticator apps, recovery codes and passkeys of staff and users

Revision ID: 0020
Revises: 0019
Create Date: 2026-11-22 23:55:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0020'
down_revision: str | None = '0019'
branch_labels: str | None = None
depends_on: str | None = None


def _whose(key: sa.types.TypeEngine, table: str) -> list:
    return [
        sa.Column('staff_id', key, nullable=True),
        sa.Column('user_id', key, nullable=True),
        sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f(f'fk_{table}_staff_id'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f(f'fk_{table}_user_id'), ondelete='CASCADE'),
    ]


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'two_factor',
        sa.Column('id', key, nullable=False),
        *_whose(key, 'two_factor'),
        sa.Column('secret', sa.Text(), nullable=False),
        sa.Column('confirmed_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('last_step', sa.BigInteger(), nullable=False),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_two_factor')),
        sa.UniqueConstraint('staff_id', name=op.f('uq_two_factor_staff_id')),
        sa.UniqueConstraint('user_id', name=op.f('uq_two_factor_user_id')),
    )
    op.create_table(
        'recovery_code',
        sa.Column('id', key, nullable=False),
        sa.Column('two_factor_id', key, nullable=False),
        sa.Column('code_hash', sa.String(length=64), nullable=False),
        sa.Column('used_at', app.db.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ['two_factor_id'], ['two_factor.id'], name=op.f('fk_recovery_code_two_factor_id'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_recovery_code')),
    )
    with op.batch_alter_table('recovery_code') as batch_op:
        batch_op.create_index(batch_op.f('ix_recovery_code_two_factor_id'), ['two_factor_id'])
    op.create_table(
        'passkey',
        sa.Column('id', key, nullable=False),
        *_whose(key, 'passkey'),
        sa.Column('name', sa.String(length=200), nullable=False),
        sa.Column('credential_hash', sa.String(length=64), nullable=False),
        sa.Column('credential', sa.LargeBinary(), nullable=False),
        sa.Column('public_key', sa.LargeBinary(), nullable=False),
        sa.Column('sign_count', sa.BigInteger(), nullable=False),
        sa.Column('host', sa.String(length=253), nullable=False),
        sa.Column('transports', app.db.Json, nullable=False),
        sa.Column('last_used_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_passkey')),
        sa.UniqueConstraint('credential_hash', name=op.f('uq_passkey_credential_hash')),
    )
    with op.batch_alter_table('passkey') as batch_op:
        batch_op.create_index(batch_op.f('ix_passkey_staff_id'), ['staff_id'])
        batch_op.create_index(batch_op.f('ix_passkey_user_id'), ['user_id'])


def downgrade() -> None:
    op.drop_table('passkey')
    op.drop_table('recovery_code')
    op.drop_table('two_factor')
