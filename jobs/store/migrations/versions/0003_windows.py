"""When a job may run: its windows, whether it is urgent, and when it has to stop next."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("windows", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("urgent", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("jobs", sa.Column("closes_at", sa.DateTime(timezone=True), nullable=True))
