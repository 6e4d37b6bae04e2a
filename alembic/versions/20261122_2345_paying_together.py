"""paying together: the payer of a service, one payment for several invoices, forms that are sent twice

Revision ID: 0022
Revises: 0021
Create Date: 2026-11-22 23:45:00
"""

import sqlalchemy as sa
from alembic import op


revision: str = '0022'
down_revision: str | None = '0021'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'payment_invoice',
        sa.Column('payment_id', key, nullable=False),
        sa.Column('invoice_id', key, nullable=False),
        sa.ForeignKeyConstraint(
            ['payment_id'], ['payment.id'], name=op.f('fk_payment_invoice_payment_id'), ondelete='CASCADE'
        ),
        sa.ForeignKeyConstraint(
            ['invoice_id'], ['invoice.id'], name=op.f('fk_payment_invoice_invoice_id'), ondelete='RESTRICT'
        ),
        sa.PrimaryKeyConstraint('payment_id', 'invoice_id', name=op.f('pk_payment_invoice')),
    )
    op.create_index(op.f('ix_payment_invoice_invoice_id'), 'payment_invoice', ['invoice_id'])
    with op.batch_alter_table('payment') as batch_op:
        batch_op.add_column(sa.Column('form_key', sa.String(length=80), nullable=True))
        batch_op.create_index(batch_op.f('ix_payment_form_key'), ['form_key'], unique=True)
    with op.batch_alter_table('service') as batch_op:
        batch_op.add_column(sa.Column('form_key', sa.String(length=80), nullable=True))
        batch_op.add_column(sa.Column('payer_id', key, nullable=True))
        batch_op.create_index(batch_op.f('ix_service_form_key'), ['form_key'], unique=True)
        batch_op.create_index(batch_op.f('ix_service_payer_id'), ['payer_id'])
        batch_op.create_foreign_key(
            batch_op.f('fk_service_payer_id'), 'payer', ['payer_id'], ['id'], ondelete='SET NULL'
        )


def downgrade() -> None:
    with op.batch_alter_table('service') as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_service_payer_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_service_payer_id'))
        batch_op.drop_index(batch_op.f('ix_service_form_key'))
        batch_op.drop_column('payer_id')
        batch_op.drop_column('form_key')
    with op.batch_alter_table('payment') as batch_op:
        batch_op.drop_index(batch_op.f('ix_payment_form_key'))
        batch_op.drop_column('form_key')
    op.drop_table('payment_invoice')
