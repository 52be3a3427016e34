"""How often a chunk and others who write were in each other's way."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("chunks", sa.Column("collisions", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "ix_chunks_collisions",
        "chunks",
        ["job_id", "done_at"],
        unique=False,
        postgresql_where=sa.text("collisions > 0"),
        sqlite_where=sa.text("collisions > 0"),
    )
