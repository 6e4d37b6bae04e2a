"""custom fields, and the folded texts of their values

Revision ID: 0034
Revises: 0033
Create Date: 2026-11-23 03:10:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0034'
down_revision: str | None = '0033'
branch_labels: str | None = None
depends_on: str | None = None

TABLES = ('customer', 'payer', 'service', 'user')


def upgrade() -> None:
    op.create_table(
        'custom_field',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('target', sa.Enum('customer', 'payer', 'user', 'service', name='customtarget', native_enum=False,
                                    length=24), nullable=False),
        sa.Column('key', sa.String(length=40), nullable=False),
        sa.Column('kind', sa.Enum('text', 'number', 'money', 'date', 'choice', 'choices', 'yes_no', 'link', 'phone',
                                  name='customkind', native_enum=False, length=24), nullable=False),
        sa.Column('labels', app.db.Json, nullable=False),
        sa.Column('helps', app.db.Json, nullable=False),
        sa.Column('digits', sa.Integer(), nullable=False),
        sa.Column('currency', sa.String(length=3), nullable=False),
        sa.Column('choices', app.db.Json, nullable=False),
        sa.Column('default', app.db.Json, nullable=True),
        sa.Column('required', sa.Boolean(), nullable=False),
        sa.Column('access', sa.Enum('staff', 'read', 'edit', name='customaccess', native_enum=False, length=24),
                  nullable=False),
        sa.Column('at_registration', sa.Boolean(), nullable=False),
        sa.Column('account_types', app.db.Json, nullable=False),
        sa.Column('listed', sa.Boolean(), nullable=False),
        sa.Column('indexed', sa.Boolean(), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('archived_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('purging', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('version', sa.Integer(), server_default='1', nullable=False),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_custom_field')),
        sa.UniqueConstraint('target', 'key', name=op.f('uq_custom_field_target_key')),
    )
    with op.batch_alter_table('custom_field') as batch:
        batch.create_index('ix_custom_field_order', ['target', 'position'])
    for table in TABLES:
        op.add_column(table, sa.Column('custom_folded', app.db.Json, server_default='{}', nullable=False))


def downgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table) as batch:
            batch.drop_column('custom_folded')
    op.drop_table('custom_field')
