"""Let several machines share one ledger: files inside the database, and submissions that wait for their verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(content) = size", name=op.f("ck_blobs_whole")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
    )
    op.create_table(
        "stored_items",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("uid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name=op.f("fk_stored_items_digest_blobs")),
        sa.PrimaryKeyConstraint("kind", "uid", name=op.f("pk_stored_items")),
    )
    op.create_table(
        "submissions",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", BIG, autoincrement=False, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("received_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name=op.f("fk_submissions_digest_blobs")),
        sa.PrimaryKeyConstraint("digest", "number", name=op.f("pk_submissions")),
    )
    op.create_index(op.f("ix_submissions_received_at"), "submissions", ["received_at"], unique=False)
    op.create_table(
        "submission_verdicts",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", BIG, autoincrement=False, nullable=False),
        sa.Column("uid", sa.LargeBinary(length=32), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("epoch", BIG, nullable=True),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("judged_at", BIG, nullable=False),
        sa.CheckConstraint("verdict IN ('admitted', 'refused')", name=op.f("ck_submission_verdicts_verdict_known")),
        sa.ForeignKeyConstraint(
            ["digest", "number"],
            ["submissions.digest", "submissions.number"],
            name=op.f("fk_submission_verdicts_digest_number_submissions"),
        ),
        sa.PrimaryKeyConstraint("digest", "number", name=op.f("pk_submission_verdicts")),
    )
    op.create_table(
        "parts",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("shards", BIG, autoincrement=False, nullable=False),
        sa.Column("number", BIG, autoincrement=False, nullable=False),
        sa.Column("inputs", sa.LargeBinary(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "shards", "number", name=op.f("pk_parts")),
    )


def downgrade() -> None:
    op.drop_table("parts")  # a cache: made again when it is needed
    op.drop_table("submission_verdicts")
    op.drop_index(op.f("ix_submissions_received_at"), table_name="submissions")
    op.drop_table("submissions")
    op.drop_table("stored_items")
    op.drop_table("blobs")
