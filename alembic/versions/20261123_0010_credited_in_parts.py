"""credited in parts: what of an expense was given back, what of an invoice need not be paid; charges of nothing

Revision ID: 0025
Revises: 0024
Create Date: 2026-11-23 00:10:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0025'
down_revision: str | None = '0024'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('expense') as batch_op:
        batch_op.add_column(sa.Column('credited', sa.BigInteger(), server_default='0', nullable=False))
        batch_op.alter_column('transaction_id', existing_type=key, nullable=True)
    op.execute('UPDATE expense SET credited = amount WHERE reversed_by_id IS NOT NULL')
    op.add_column('invoice', sa.Column('credited', sa.BigInteger(), server_default='0', nullable=False))
    with op.batch_alter_table('invoice_payment') as batch_op:
        batch_op.drop_constraint(batch_op.f('ck_invoice_payment_amount'), type_='check')
        batch_op.create_check_constraint(batch_op.f('ck_invoice_payment_amount'), 'amount <> 0')


def downgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.execute('DELETE FROM expense WHERE transaction_id IS NULL')
    with op.batch_alter_table('invoice_payment') as batch_op:
        batch_op.drop_constraint(batch_op.f('ck_invoice_payment_amount'), type_='check')
        batch_op.create_check_constraint(batch_op.f('ck_invoice_payment_amount'), 'amount > 0')
    with op.batch_alter_table('invoice') as batch_op:
        batch_op.drop_column('credited')
    with op.batch_alter_table('expense') as batch_op:
        batch_op.alter_column('transaction_id', existing_type=key, nullable=False)
        batch_op.drop_column('credited')
