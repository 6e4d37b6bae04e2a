"""brands and visits: the address of a project, what its customers learn of visits, the code that opens the door

Revision ID: 0021
Revises: 0020
Create Date: 2026-11-22 23:45:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0021'
down_revision: str | None = '0020'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('project') as batch_op:
        batch_op.add_column(sa.Column('host', sa.String(length=253), nullable=True))
        batch_op.add_column(sa.Column('slug', sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column('visits_shown', sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column('visits_told', sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column('visits_by_code', sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.create_unique_constraint(batch_op.f('uq_project_host'), ['host'])
        batch_op.create_unique_constraint(batch_op.f('uq_project_slug'), ['slug'])
    with op.batch_alter_table('login_session') as batch_op:
        batch_op.add_column(sa.Column('proved_at', app.db.UtcDateTime(), nullable=True))
    op.create_table(
        'door_code',
        sa.Column('customer_id', key, nullable=False),
        sa.Column('code_hash', sa.String(length=64), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('expires_at', app.db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['customer_id'], ['customer.id'], name=op.f('fk_door_code_customer_id'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('customer_id', name=op.f('pk_door_code')),
    )


def downgrade() -> None:
    op.drop_table('door_code')
    with op.batch_alter_table('login_session') as batch_op:
        batch_op.drop_column('proved_at')
    with op.batch_alter_table('project') as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_project_slug'), type_='unique')
        batch_op.drop_constraint(batch_op.f('uq_project_host'), type_='unique')
        for name in ('visits_by_code', 'visits_told', 'visits_shown', 'slug', 'host'):
            batch_op.drop_column(name)
