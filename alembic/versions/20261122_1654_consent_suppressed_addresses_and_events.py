"""consent, suppressed addresses, and what comes back of a message

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-22 16:54:25.679000
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0008'
down_revision: str | None = '0007'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table('suppressed_address',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('address', sa.String(length=254), nullable=False),
    sa.Column('address_folded', sa.Text(), server_default='', nullable=False),
    sa.Column('why', sa.Enum('hard', 'soft', 'staff', name='why', native_enum=False, length=24), nullable=False),
    sa.Column('detail', sa.String(length=500), nullable=False),
    sa.Column('since', app.db.UtcDateTime(), nullable=False),
    sa.Column('staff_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('lifted_at', app.db.UtcDateTime(), nullable=True),
    sa.Column('lifted_by_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('lift_reason', sa.String(length=500), nullable=False),
    sa.ForeignKeyConstraint(['lifted_by_id'], ['staff.id'], name=op.f('fk_suppressed_address_lifted_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_suppressed_address_staff_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suppressed_address'))
    )
    with op.batch_alter_table('suppressed_address', schema=None) as batch_op:
        batch_op.create_index('ix_suppressed_address_folded', ['address_folded'], unique=False)
        batch_op.create_index(batch_op.f('ix_suppressed_address_lifted_by_id'), ['lifted_by_id'], unique=False)
        batch_op.create_index('ix_suppressed_address_now', ['address'], unique=True, sqlite_where=sa.text('lifted_at IS NULL'), postgresql_where=sa.text('lifted_at IS NULL'))
        batch_op.create_index('ix_suppressed_address_since', ['since', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_suppressed_address_staff_id'), ['staff_id'], unique=False)

    op.create_table('delivery_event',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('campaign_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('message_id', sa.String(length=120), nullable=False),
    sa.Column('kind', sa.Enum('open', 'click', 'hard', 'soft', name='eventkind', native_enum=False, length=24), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('url_hash', sa.String(length=32), nullable=False),
    sa.Column('detail', sa.String(length=500), nullable=False),
    sa.Column('times', sa.Integer(), nullable=False),
    sa.Column('first_at', app.db.UtcDateTime(), nullable=False),
    sa.Column('last_at', app.db.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_delivery_event_campaign_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_delivery_event_customer_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_delivery_event')),
    sa.UniqueConstraint('message_id', 'kind', 'url_hash', name=op.f('uq_delivery_event_message_id_kind_url_hash'))
    )
    with op.batch_alter_table('delivery_event', schema=None) as batch_op:
        batch_op.create_index('ix_delivery_event_campaign', ['campaign_id', 'kind'], unique=False)
        batch_op.create_index('ix_delivery_event_customer', ['customer_id', 'kind', 'last_at'], unique=False)

    op.create_table('subscription',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('category_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('channel', sa.Enum('inbox', 'email', name='channel', native_enum=False, length=24), nullable=False),
    sa.Column('wanted', sa.Boolean(), nullable=False),
    sa.Column('since', app.db.UtcDateTime(), nullable=False),
    sa.Column('ended_at', app.db.UtcDateTime(), nullable=True),
    sa.Column('how', sa.Enum('staff', 'client', 'link', 'import', name='how', native_enum=False, length=24), nullable=False),
    sa.Column('staff_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('by_user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('note', sa.String(length=500), nullable=False),
    sa.Column('ip', sa.String(length=45), nullable=True),
    sa.ForeignKeyConstraint(['by_user_id'], ['user.id'], name=op.f('fk_subscription_by_user_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['category_id'], ['message_category.id'], name=op.f('fk_subscription_category_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_subscription_customer_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_subscription_staff_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_subscription_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscription'))
    )
    with op.batch_alter_table('subscription', schema=None) as batch_op:
        batch_op.create_index('ix_subscription_account', ['category_id', 'channel', 'customer_id'], unique=True, sqlite_where=sa.text('ended_at IS NULL AND user_id IS NULL'), postgresql_where=sa.text('ended_at IS NULL AND user_id IS NULL'))
        batch_op.create_index(batch_op.f('ix_subscription_by_user_id'), ['by_user_id'], unique=False)
        batch_op.create_index('ix_subscription_customer', ['customer_id', 'since'], unique=False)
        batch_op.create_index('ix_subscription_since', ['since'], unique=False)
        batch_op.create_index(batch_op.f('ix_subscription_staff_id'), ['staff_id'], unique=False)
        batch_op.create_index('ix_subscription_user', ['category_id', 'channel', 'customer_id', 'user_id'], unique=True, sqlite_where=sa.text('ended_at IS NULL AND user_id IS NOT NULL'), postgresql_where=sa.text('ended_at IS NULL AND user_id IS NOT NULL'))
        batch_op.create_index(batch_op.f('ix_subscription_user_id'), ['user_id'], unique=False)

    with op.batch_alter_table('message_category', schema=None) as batch_op:
        batch_op.add_column(sa.Column('opt_in', sa.Boolean(), server_default=sa.true(), nullable=False))

    with op.batch_alter_table('project', schema=None) as batch_op:
        batch_op.add_column(sa.Column('tracking', sa.Boolean(), server_default=sa.false(), nullable=False))



def downgrade() -> None:
    with op.batch_alter_table('project', schema=None) as batch_op:
        batch_op.drop_column('tracking')

    with op.batch_alter_table('message_category', schema=None) as batch_op:
        batch_op.drop_column('opt_in')

    with op.batch_alter_table('subscription', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_subscription_user_id'))
        batch_op.drop_index('ix_subscription_user', sqlite_where=sa.text('ended_at IS NULL AND user_id IS NOT NULL'), postgresql_where=sa.text('ended_at IS NULL AND user_id IS NOT NULL'))
        batch_op.drop_index(batch_op.f('ix_subscription_staff_id'))
        batch_op.drop_index('ix_subscription_since')
        batch_op.drop_index('ix_subscription_customer')
        batch_op.drop_index(batch_op.f('ix_subscription_by_user_id'))
        batch_op.drop_index('ix_subscription_account', sqlite_where=sa.text('ended_at IS NULL AND user_id IS NULL'), postgresql_where=sa.text('ended_at IS NULL AND user_id IS NULL'))

    op.drop_table('subscription')
    with op.batch_alter_table('delivery_event', schema=None) as batch_op:
        batch_op.drop_index('ix_delivery_event_customer')
        batch_op.drop_index('ix_delivery_event_campaign')

    op.drop_table('delivery_event')
    with op.batch_alter_table('suppressed_address', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_suppressed_address_staff_id'))
        batch_op.drop_index('ix_suppressed_address_since')
        batch_op.drop_index('ix_suppressed_address_now', sqlite_where=sa.text('lifted_at IS NULL'), postgresql_where=sa.text('lifted_at IS NULL'))
        batch_op.drop_index(batch_op.f('ix_suppressed_address_lifted_by_id'))
        batch_op.drop_index('ix_suppressed_address_folded')

    op.drop_table('suppressed_address')
