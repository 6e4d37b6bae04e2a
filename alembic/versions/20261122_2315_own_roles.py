"""own roles: what a customer lets the users do, beside the four roles that all have

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-22 23:15:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0017'
down_revision: str | None = '0016'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'customer_role',
        sa.Column('id', key, nullable=False),
        sa.Column('customer_id', key, nullable=False),
        sa.Column('name', sa.String(length=60), nullable=False),
        sa.Column('rights', app.db.Json, nullable=False),
        sa.Column('version', sa.Integer(), server_default='1', nullable=False),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['customer_id'], ['customer.id'], name=op.f('fk_customer_role_customer_id'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_customer_role')),
        sa.UniqueConstraint('customer_id', 'name', name=op.f('uq_customer_role_customer_id_name')),
    )
    with op.batch_alter_table('user_customer') as batch_op:
        batch_op.add_column(sa.Column('own_role_id', key, nullable=True))
        batch_op.create_index(batch_op.f('ix_user_customer_own_role_id'), ['own_role_id'])
        batch_op.create_foreign_key(
            batch_op.f('fk_user_customer_own_role_id'), 'customer_role', ['own_role_id'], ['id'], ondelete='SET NULL'
        )


def downgrade() -> None:
    with op.batch_alter_table('user_customer') as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_user_customer_own_role_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_user_customer_own_role_id'))
        batch_op.drop_column('own_role_id')
    op.drop_table('customer_role')
