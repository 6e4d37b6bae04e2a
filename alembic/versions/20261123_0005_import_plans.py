"""imports: what stands in the file, how it is taken, rows that were left out, and undoing

Revision ID: 0026
Revises: 0025
Create Date: 2026-11-23 00:05:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0026'
down_revision: str | None = '0025'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('undone', sa.Integer(), server_default='0', nullable=False))
        batch_op.add_column(sa.Column('kept', sa.Integer(), server_default='0', nullable=False))
        batch_op.add_column(sa.Column('header', sa.String(length=64), server_default='', nullable=False))
        batch_op.add_column(sa.Column('looked', app.db.Json, server_default='{}', nullable=False))
        batch_op.add_column(sa.Column('plan', app.db.Json, server_default='{}', nullable=False))
        batch_op.create_index('ix_import_run_header', ['header'], unique=False)
    op.create_table('import_row',
    sa.Column('id', key, nullable=False),
    sa.Column('import_id', key, nullable=False),
    sa.Column('undo', sa.Boolean(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('column', sa.String(length=200), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('cells', app.db.Json, nullable=False),
    sa.ForeignKeyConstraint(['import_id'], ['import_run.id'], name=op.f('fk_import_row_import_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_import_row'))
    )
    with op.batch_alter_table('import_row', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_import_row_import_id'), ['import_id'], unique=False)


def downgrade() -> None:
    op.drop_table('import_row')
    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.drop_index('ix_import_run_header')
        for column in ('plan', 'looked', 'header', 'kept', 'undone'):
            batch_op.drop_column(column)
