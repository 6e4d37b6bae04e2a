"""widgets of roles: what new people start with

Revision ID: 0040
Revises: 0039
Create Date: 2026-11-23 03:56:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0040'
down_revision: str | None = '0039'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('widget') as batch_op:
        batch_op.alter_column('staff_id', existing_type=key, nullable=True)
        batch_op.add_column(sa.Column('role_id', key, nullable=True))
        batch_op.create_foreign_key(op.f('fk_widget_role_id'), 'role', ['role_id'], ['id'], ondelete='CASCADE')
        batch_op.create_index(op.f('ix_widget_role_id'), ['role_id'])


def downgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.execute('DELETE FROM widget WHERE staff_id IS NULL')
    with op.batch_alter_table('widget') as batch_op:
        batch_op.drop_index(op.f('ix_widget_role_id'))
        batch_op.drop_constraint(op.f('fk_widget_role_id'), type_='foreignkey')
        batch_op.drop_column('role_id')
        batch_op.alter_column('staff_id', existing_type=key, nullable=False)
