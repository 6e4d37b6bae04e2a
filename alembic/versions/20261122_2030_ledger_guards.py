"""ledger: own accounts once each, the last checks, and guards in the database

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-22 20:30:00
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0013'
down_revision: str | None = '0012'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table('ledger_check',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=False),
    sa.Column('seconds', sa.Integer(), nullable=False),
    sa.Column('breaches', app.db.Json, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_check'))
    )
    op.drop_index('ix_account_own', 'account')
    op.create_index('ix_account_own', 'account', ['project_id', 'kind', 'currency'], unique=True,
                    sqlite_where=sa.text('customer_id IS NULL'), postgresql_where=sa.text('customer_id IS NULL'))
    op.create_index('ix_account_project', 'account', ['project_id', 'currency'])


def downgrade() -> None:
    op.drop_index('ix_account_project', 'account')
    op.drop_index('ix_account_own', 'account')
    op.create_index('ix_account_own', 'account', ['project_id', 'kind', 'currency'])
    op.drop_table('ledger_check')
