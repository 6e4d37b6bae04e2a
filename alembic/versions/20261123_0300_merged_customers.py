"""merged customers: doubles that lead to who stayed, cleared ones, and what finds doubles

Revision ID: 0032
Revises: 0031
Create Date: 2026-11-23 03:00:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0032'
down_revision: str | None = '0031'
branch_labels: str | None = None
depends_on: str | None = None


SOME = {
    'phone': "phone <> ''", 'vat_number': "vat_number <> ''", 'merged_into_id': 'merged_into_id IS NOT NULL',
}


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('customer') as batch_op:
        batch_op.add_column(sa.Column('merged_into_id', key, nullable=True))
        batch_op.add_column(sa.Column('cleared_at', app.db.UtcDateTime(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f('fk_customer_merged_into_id'), 'customer', ['merged_into_id'], ['id'], ondelete='RESTRICT'
        )
    for column, some in SOME.items():
        where = sa.text(some)
        op.create_index(f'ix_customer_{column}', 'customer', [column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for column in SOME:
        op.drop_index(f'ix_customer_{column}', 'customer')
    with op.batch_alter_table('customer') as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_customer_merged_into_id'), type_='foreignkey')
        batch_op.drop_column('cleared_at')
        batch_op.drop_column('merged_into_id')
