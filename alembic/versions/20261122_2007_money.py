"""money: ledger, payments, invoices, expenses, discounts, documents, rates

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-22 20:07:00
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0011'
down_revision: str | None = '0010'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table('exchange_rate',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('base', sa.String(length=3), nullable=False),
    sa.Column('quote', sa.String(length=3), nullable=False),
    sa.Column('on_day', sa.Date(), nullable=False),
    sa.Column('rate', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint('base <> quote', name=op.f('ck_exchange_rate_two')),
    sa.CheckConstraint('rate > 0', name=op.f('ck_exchange_rate_rate')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exchange_rate')),
    sa.UniqueConstraint('base', 'quote', 'on_day', name=op.f('uq_exchange_rate_base_quote_on_day'))
    )
    op.create_table('document_template',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.Enum('act', 'contract', 'reconciliation', 'other', name='documentkind', native_enum=False, length=24), nullable=False),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('language', sa.String(length=12), nullable=False),
    sa.Column('title', sa.String(length=200), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_document_template_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_document_template')),
    sa.UniqueConstraint('project_id', 'kind', 'language', name=op.f('uq_document_template_project_id_kind_language'))
    )
    op.create_table('ledger_transaction',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('kind', sa.Enum('payment', 'refund', 'charge', 'correction', 'transfer', 'reversal', name='transactionkind', native_enum=False, length=24), nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=False),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('staff_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('reverses_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.ForeignKeyConstraint(['reverses_id'], ['ledger_transaction.id'], name=op.f('fk_ledger_transaction_reverses_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_ledger_transaction_staff_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_transaction')),
    sa.UniqueConstraint('key', name=op.f('uq_ledger_transaction_key')),
    sa.UniqueConstraint('reverses_id', name=op.f('uq_ledger_transaction_reverses_id'))
    )
    with op.batch_alter_table('ledger_transaction', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_ledger_transaction_staff_id'), ['staff_id'], unique=False)

    op.create_table('number_series',
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(length=24), nullable=False),
    sa.Column('pattern', sa.String(length=60), server_default='{year}-{number:05}', nullable=False),
    sa.Column('next_number', sa.Integer(), server_default='1', nullable=False),
    sa.Column('year', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_number_series_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', 'kind', name=op.f('pk_number_series'))
    )
    op.create_table('tax_rate',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('country', sa.String(length=2), nullable=False),
    sa.Column('payer_kind', sa.Enum('individual', 'company', 'sole_proprietor', name='payerkind', native_enum=False, length=24), nullable=True),
    sa.Column('rate', sa.Integer(), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint('rate >= 0 AND rate <= 10000', name=op.f('ck_tax_rate_rate')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_tax_rate_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tax_rate'))
    )
    with op.batch_alter_table('tax_rate', schema=None) as batch_op:
        batch_op.create_index('ix_tax_rate_place', ['country', 'valid_from'], unique=False)
        batch_op.create_index(batch_op.f('ix_tax_rate_project_id'), ['project_id'], unique=False)

    op.create_table('discount',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('target', sa.Enum('all', 'group', 'customer', name='discounttarget', native_enum=False, length=24), nullable=False),
    sa.Column('group_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('condition', app.db.Json, nullable=True),
    sa.Column('scope', sa.Enum('everything', 'project', 'product_group', 'product', 'period', name='discountscope', native_enum=False, length=24), nullable=False),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('product_group_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('product_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('period', sa.Enum('month', 'quarter', 'half_year', 'year', 'once', name='period', native_enum=False, length=24), nullable=True),
    sa.Column('kind', sa.Enum('percent', 'amount', 'price', name='discountkind', native_enum=False, length=24), nullable=False),
    sa.Column('percent', sa.Integer(), server_default='0', nullable=False),
    sa.Column('amount', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=True),
    sa.Column('valid_until', sa.Date(), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.CheckConstraint('percent >= 0 AND percent <= 10000 AND amount >= 0', name=op.f('ck_discount_size')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_discount_customer_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['group_id'], ['customer_group.id'], name=op.f('fk_discount_group_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['product_group_id'], ['product_group.id'], name=op.f('fk_discount_product_group_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_discount_product_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_discount_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_discount'))
    )
    with op.batch_alter_table('discount', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_discount_customer_id'), ['customer_id'], unique=False)
        batch_op.create_index('ix_discount_enabled', ['enabled', 'target', 'scope'], unique=False)
        batch_op.create_index(batch_op.f('ix_discount_group_id'), ['group_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_discount_product_group_id'), ['product_group_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_discount_product_id'), ['product_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_discount_project_id'), ['project_id'], unique=False)

    op.create_table('product_price',
    sa.Column('product_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('period', sa.Enum('month', 'quarter', 'half_year', 'year', 'once', name='period', native_enum=False, length=24), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('price', sa.BigInteger(), nullable=False),
    sa.Column('setup_fee', sa.BigInteger(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_product_price_product_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('product_id', 'period', 'currency', name=op.f('pk_product_price'))
    )
    op.create_table('account',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.Enum('customer', 'cash', 'revenue', 'tax', 'rounding', 'exchange', 'adjustment', name='accountkind', native_enum=False, length=24), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('balance', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('credit_limit', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('post_paid', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('auto_invoice', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('payer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('method_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.CheckConstraint("(kind = 'customer') = (customer_id IS NOT NULL)", name=op.f('ck_account_whose')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_account_customer_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['method_id'], ['payment_method.id'], name=op.f('fk_account_method_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['payer_id'], ['payer.id'], name=op.f('fk_account_payer_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_account_project_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_account')),
    sa.UniqueConstraint('customer_id', 'project_id', 'currency', name=op.f('uq_account_customer_id_project_id_currency'))
    )
    with op.batch_alter_table('account', schema=None) as batch_op:
        batch_op.create_index('ix_account_balance', ['balance', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_account_method_id'), ['method_id'], unique=False)
        batch_op.create_index('ix_account_own', ['project_id', 'kind', 'currency'], unique=False)
        batch_op.create_index(batch_op.f('ix_account_payer_id'), ['payer_id'], unique=False)

    op.create_table('finance_document',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.Enum('act', 'contract', 'reconciliation', 'other', name='documentkind', native_enum=False, length=24), nullable=False),
    sa.Column('number', sa.String(length=60), nullable=False),
    sa.Column('title', sa.String(length=200), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('on_day', sa.Date(), nullable=False),
    sa.Column('body', sa.Text(), server_default='', nullable=False),
    sa.Column('attachment_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.Column('search_text', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['attachment_id'], ['attachment.id'], name=op.f('fk_finance_document_attachment_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_finance_document_customer_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_finance_document_project_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_finance_document')),
    sa.UniqueConstraint('project_id', 'kind', 'number', name=op.f('uq_finance_document_project_id_kind_number'))
    )
    with op.batch_alter_table('finance_document', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_finance_document_attachment_id'), ['attachment_id'], unique=False)
        batch_op.create_index('ix_finance_document_customer', ['customer_id', 'id'], unique=False)

    op.create_table('invoice',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('number', sa.String(length=60), nullable=True),
    sa.Column('kind', sa.Enum('invoice', 'credit_note', name='invoicekind', native_enum=False, length=24), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('account_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('payer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('status', sa.Enum('draft', 'issued', 'paid', 'overdue', 'cancelled', name='invoicestatus', native_enum=False, length=24), nullable=False),
    sa.Column('issued_on', sa.Date(), nullable=True),
    sa.Column('due_on', sa.Date(), nullable=True),
    sa.Column('net', sa.BigInteger(), nullable=False),
    sa.Column('tax', sa.BigInteger(), nullable=False),
    sa.Column('total', sa.BigInteger(), nullable=False),
    sa.Column('paid', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('language', sa.String(length=12), nullable=False),
    sa.Column('reverse_charge', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('credits_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('note', sa.String(length=2000), server_default='', nullable=False),
    sa.Column('sides', app.db.Json, server_default='{}', nullable=False),
    sa.Column('key', sa.String(length=120), nullable=True),
    sa.Column('reminded_on', sa.Date(), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.Column('search_text', sa.Text(), server_default='', nullable=False),
    sa.CheckConstraint("(status = 'draft') = (number IS NULL)", name=op.f('ck_invoice_number')),
    sa.CheckConstraint('net + tax = total', name=op.f('ck_invoice_total')),
    sa.CheckConstraint('paid >= 0 AND paid <= total', name=op.f('ck_invoice_paid')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_invoice_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['credits_id'], ['invoice.id'], name=op.f('fk_invoice_credits_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_invoice_customer_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['payer_id'], ['payer.id'], name=op.f('fk_invoice_payer_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_invoice_project_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoice')),
    sa.UniqueConstraint('key', name=op.f('uq_invoice_key')),
    sa.UniqueConstraint('project_id', 'kind', 'number', name=op.f('uq_invoice_project_id_kind_number'))
    )
    with op.batch_alter_table('invoice', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_invoice_account_id'), ['account_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_invoice_credits_id'), ['credits_id'], unique=False)
        batch_op.create_index('ix_invoice_customer', ['customer_id', 'id'], unique=False)
        batch_op.create_index('ix_invoice_issued', ['issued_on', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_invoice_payer_id'), ['payer_id'], unique=False)
        batch_op.create_index('ix_invoice_status', ['status', 'due_on', 'id'], unique=False)

    op.create_table('ledger_entry',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('transaction_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('account_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=False),
    sa.CheckConstraint('amount <> 0', name=op.f('ck_ledger_entry_amount')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_ledger_entry_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['transaction_id'], ['ledger_transaction.id'], name=op.f('fk_ledger_entry_transaction_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_entry'))
    )
    with op.batch_alter_table('ledger_entry', schema=None) as batch_op:
        batch_op.create_index('ix_ledger_entry_account', ['account_id', 'at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_ledger_entry_transaction_id'), ['transaction_id'], unique=False)

    op.create_table('expense',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('on_day', sa.Date(), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('account_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('service_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('invoice_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('net', sa.BigInteger(), nullable=False),
    sa.Column('tax', sa.BigInteger(), nullable=False),
    sa.Column('tax_rate', sa.Integer(), nullable=False),
    sa.Column('discount', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('discount_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('explained', app.db.Json, nullable=True),
    sa.Column('period_from', sa.Date(), nullable=True),
    sa.Column('period_to', sa.Date(), nullable=True),
    sa.Column('covered_by', sa.Enum('balance', 'credit', name='cover', native_enum=False, length=24), nullable=False),
    sa.Column('transaction_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('reversed_by_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_expense_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_expense_customer_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['discount_id'], ['discount.id'], name=op.f('fk_expense_discount_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_expense_invoice_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['reversed_by_id'], ['ledger_transaction.id'], name=op.f('fk_expense_reversed_by_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_expense_service_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['transaction_id'], ['ledger_transaction.id'], name=op.f('fk_expense_transaction_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_expense')),
    sa.UniqueConstraint('reversed_by_id', name=op.f('uq_expense_reversed_by_id')),
    sa.UniqueConstraint('service_id', 'period_from', name=op.f('uq_expense_service_id_period_from')),
    sa.UniqueConstraint('transaction_id', name=op.f('uq_expense_transaction_id'))
    )
    with op.batch_alter_table('expense', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_expense_account_id'), ['account_id'], unique=False)
        batch_op.create_index('ix_expense_customer', ['customer_id', 'on_day', 'id'], unique=False)
        batch_op.create_index('ix_expense_day', ['on_day', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_expense_discount_id'), ['discount_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_expense_invoice_id'), ['invoice_id'], unique=False)

    op.create_table('payment',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('number', sa.String(length=40), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('account_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('payer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('method_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('invoice_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('account_amount', sa.BigInteger(), nullable=False),
    sa.Column('account_currency', sa.String(length=3), nullable=False),
    sa.Column('rate', sa.BigInteger(), nullable=True),
    sa.Column('refunded', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('status', sa.Enum('new', 'pending', 'paid', 'refunded', 'cancelled', 'fraud', name='paymentstatus', native_enum=False, length=24), nullable=False),
    sa.Column('paid_at', app.db.UtcDateTime(), nullable=True),
    sa.Column('external_id', sa.String(length=120), nullable=True),
    sa.Column('note', sa.String(length=500), server_default='', nullable=False),
    sa.Column('transaction_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.Column('search_text', sa.Text(), server_default='', nullable=False),
    sa.CheckConstraint('amount > 0 AND account_amount > 0', name=op.f('ck_payment_amount')),
    sa.CheckConstraint('refunded >= 0 AND refunded <= account_amount', name=op.f('ck_payment_refunded')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_payment_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_payment_customer_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_payment_invoice_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['method_id'], ['payment_method.id'], name=op.f('fk_payment_method_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['payer_id'], ['payer.id'], name=op.f('fk_payment_payer_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_payment_project_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['transaction_id'], ['ledger_transaction.id'], name=op.f('fk_payment_transaction_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment')),
    sa.UniqueConstraint('method_id', 'external_id', name=op.f('uq_payment_method_id_external_id')),
    sa.UniqueConstraint('transaction_id', name=op.f('uq_payment_transaction_id'))
    )
    with op.batch_alter_table('payment', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_payment_account_id'), ['account_id'], unique=False)
        batch_op.create_index('ix_payment_customer', ['customer_id', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_payment_invoice_id'), ['invoice_id'], unique=False)
        batch_op.create_index('ix_payment_paid', ['paid_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_payment_payer_id'), ['payer_id'], unique=False)
        batch_op.create_index('ix_payment_project', ['project_id', 'status', 'id'], unique=False)
        batch_op.create_index('ix_payment_status', ['status', 'id'], unique=False)

    op.create_table('invoice_line',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('invoice_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Enum('sale', 'expense', 'advance', name='linekind', native_enum=False, length=24), nullable=False),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('unit_price', sa.BigInteger(), nullable=False),
    sa.Column('discount', sa.BigInteger(), nullable=False),
    sa.Column('tax_rate', sa.Integer(), nullable=False),
    sa.Column('tax_name', sa.String(length=60), server_default='', nullable=False),
    sa.Column('net', sa.BigInteger(), nullable=False),
    sa.Column('tax', sa.BigInteger(), nullable=False),
    sa.Column('total', sa.BigInteger(), nullable=False),
    sa.Column('service_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('expense_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('explained', app.db.Json, nullable=True),
    sa.CheckConstraint('net + tax = total', name=op.f('ck_invoice_line_total')),
    sa.ForeignKeyConstraint(['expense_id'], ['expense.id'], name=op.f('fk_invoice_line_expense_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_invoice_line_invoice_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_invoice_line_service_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoice_line')),
    sa.UniqueConstraint('expense_id', name=op.f('uq_invoice_line_expense_id')),
    sa.UniqueConstraint('invoice_id', 'position', name=op.f('uq_invoice_line_invoice_id_position'))
    )
    with op.batch_alter_table('invoice_line', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_invoice_line_service_id'), ['service_id'], unique=False)

    op.create_table('invoice_payment',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('invoice_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('payment_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('transaction_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=False),
    sa.CheckConstraint('amount > 0', name=op.f('ck_invoice_payment_amount')),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_invoice_payment_invoice_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_invoice_payment_payment_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['transaction_id'], ['ledger_transaction.id'], name=op.f('fk_invoice_payment_transaction_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoice_payment'))
    )
    with op.batch_alter_table('invoice_payment', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_invoice_payment_invoice_id'), ['invoice_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_invoice_payment_payment_id'), ['payment_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_invoice_payment_transaction_id'), ['transaction_id'], unique=False)

    with op.batch_alter_table('payment_method', schema=None) as batch_op:
        batch_op.add_column(sa.Column('gateway', sa.Enum('by_hand', 'bank', 'stripe', 'test', name='gateway', native_enum=False, length=24), server_default='by_hand', nullable=False))
        batch_op.add_column(sa.Column('instructions', sa.Text(), server_default='', nullable=False))

    with op.batch_alter_table('project', schema=None) as batch_op:
        batch_op.add_column(sa.Column('prices_with_tax', sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column('grace_days', sa.Integer(), server_default='7', nullable=False))
        batch_op.add_column(sa.Column('due_days', sa.Integer(), server_default='14', nullable=False))
        batch_op.add_column(sa.Column('legal_name', sa.String(length=200), server_default='', nullable=False))
        batch_op.add_column(sa.Column('legal_address', sa.String(length=500), server_default='', nullable=False))
        batch_op.add_column(sa.Column('country', sa.String(length=2), server_default='', nullable=False))
        batch_op.add_column(sa.Column('vat_number', sa.String(length=40), server_default='', nullable=False))
        batch_op.add_column(sa.Column('bank_account', sa.String(length=500), server_default='', nullable=False))
        batch_op.add_column(sa.Column('logo', sa.String(length=200), server_default='', nullable=False))

    with op.batch_alter_table('service', schema=None) as batch_op:
        batch_op.add_column(sa.Column('charge_day', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('setup_fee', sa.BigInteger(), server_default='0', nullable=False))
        batch_op.add_column(sa.Column('unpaid_since', sa.Date(), nullable=True))
        batch_op.create_index('ix_service_due', ['status', 'next_charge_on', 'id'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('service', schema=None) as batch_op:
        batch_op.drop_index('ix_service_due')
        batch_op.drop_column('unpaid_since')
        batch_op.drop_column('setup_fee')
        batch_op.drop_column('charge_day')

    with op.batch_alter_table('project', schema=None) as batch_op:
        batch_op.drop_column('logo')
        batch_op.drop_column('bank_account')
        batch_op.drop_column('vat_number')
        batch_op.drop_column('country')
        batch_op.drop_column('legal_address')
        batch_op.drop_column('legal_name')
        batch_op.drop_column('due_days')
        batch_op.drop_column('grace_days')
        batch_op.drop_column('prices_with_tax')

    with op.batch_alter_table('payment_method', schema=None) as batch_op:
        batch_op.drop_column('instructions')
        batch_op.drop_column('gateway')

    with op.batch_alter_table('invoice_payment', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_invoice_payment_transaction_id'))
        batch_op.drop_index(batch_op.f('ix_invoice_payment_payment_id'))
        batch_op.drop_index(batch_op.f('ix_invoice_payment_invoice_id'))

    op.drop_table('invoice_payment')
    with op.batch_alter_table('invoice_line', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_invoice_line_service_id'))

    op.drop_table('invoice_line')
    with op.batch_alter_table('payment', schema=None) as batch_op:
        batch_op.drop_index('ix_payment_status')
        batch_op.drop_index('ix_payment_project')
        batch_op.drop_index(batch_op.f('ix_payment_payer_id'))
        batch_op.drop_index('ix_payment_paid')
        batch_op.drop_index(batch_op.f('ix_payment_invoice_id'))
        batch_op.drop_index('ix_payment_customer')
        batch_op.drop_index(batch_op.f('ix_payment_account_id'))

    op.drop_table('payment')
    with op.batch_alter_table('expense', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_expense_invoice_id'))
        batch_op.drop_index(batch_op.f('ix_expense_discount_id'))
        batch_op.drop_index('ix_expense_day')
        batch_op.drop_index('ix_expense_customer')
        batch_op.drop_index(batch_op.f('ix_expense_account_id'))

    op.drop_table('expense')
    with op.batch_alter_table('ledger_entry', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_ledger_entry_transaction_id'))
        batch_op.drop_index('ix_ledger_entry_account')

    op.drop_table('ledger_entry')
    with op.batch_alter_table('invoice', schema=None) as batch_op:
        batch_op.drop_index('ix_invoice_status')
        batch_op.drop_index(batch_op.f('ix_invoice_payer_id'))
        batch_op.drop_index('ix_invoice_issued')
        batch_op.drop_index('ix_invoice_customer')
        batch_op.drop_index(batch_op.f('ix_invoice_credits_id'))
        batch_op.drop_index(batch_op.f('ix_invoice_account_id'))

    op.drop_table('invoice')
    with op.batch_alter_table('finance_document', schema=None) as batch_op:
        batch_op.drop_index('ix_finance_document_customer')
        batch_op.drop_index(batch_op.f('ix_finance_document_attachment_id'))

    op.drop_table('finance_document')
    with op.batch_alter_table('account', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_account_payer_id'))
        batch_op.drop_index('ix_account_own')
        batch_op.drop_index(batch_op.f('ix_account_method_id'))
        batch_op.drop_index('ix_account_balance')

    op.drop_table('account')
    op.drop_table('product_price')
    with op.batch_alter_table('discount', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_discount_project_id'))
        batch_op.drop_index(batch_op.f('ix_discount_product_id'))
        batch_op.drop_index(batch_op.f('ix_discount_product_group_id'))
        batch_op.drop_index(batch_op.f('ix_discount_group_id'))
        batch_op.drop_index('ix_discount_enabled')
        batch_op.drop_index(batch_op.f('ix_discount_customer_id'))

    op.drop_table('discount')
    with op.batch_alter_table('tax_rate', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_tax_rate_project_id'))
        batch_op.drop_index('ix_tax_rate_place')

    op.drop_table('tax_rate')
    op.drop_table('number_series')
    with op.batch_alter_table('ledger_transaction', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_ledger_transaction_staff_id'))

    op.drop_table('ledger_transaction')
    op.drop_table('document_template')
    op.drop_table('exchange_rate')
