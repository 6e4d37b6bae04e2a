"""rules that wait for who joins or leaves a group

Revision ID: 0043
Revises: 0042
Create Date: 2026-11-23 06:10:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0043'
down_revision: str | None = '0042'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('automation_rule') as batch_op:
        batch_op.add_column(sa.Column('group_id', key, nullable=True))
        batch_op.create_foreign_key(op.f('fk_automation_rule_group_id'), 'customer_group', ['group_id'], ['id'], ondelete='SET NULL')
        batch_op.create_index(op.f('ix_automation_rule_group_id'), ['group_id'])


def downgrade() -> None:
    with op.batch_alter_table('automation_rule') as batch_op:
        batch_op.drop_index(op.f('ix_automation_rule_group_id'))
        batch_op.drop_constraint(op.f('fk_automation_rule_group_id'), type_='foreignkey')
        batch_op.drop_column('group_id')
