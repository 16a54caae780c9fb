"""Lay the ledger's first schema. Guards are put on by env.py after the last migration."""

import sqlalchemy as sa
from alembic import op

from ledger.db.schema import Uint64, Wei256

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "artefacts",
        sa.Column("epoch", BIG, autoincrement=False, nullable=False),
        sa.Column("attempt", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("recorded_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "attempt", "kind", name=op.f("pk_artefacts")),
    )
    op.create_table(
        "balances",
        sa.Column("account", sa.String(length=60), nullable=False),
        sa.Column("debits", Wei256(), nullable=False),
        sa.Column("credits", Wei256(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_balances")),
    )
    op.create_table(
        "chain_blocks",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("chain_id", BIG, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parent_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("timestamp", BIG, nullable=False),
        sa.Column("standing", sa.String(length=10), nullable=False),
        sa.CheckConstraint("standing IN ('canonical', 'orphaned')", name=op.f("ck_chain_blocks_standing_known")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_chain_blocks")),
    )
    op.create_index(op.f("ix_chain_blocks_chain_id_number"), "chain_blocks", ["chain_id", "number"], unique=False)
    op.create_index(op.f("ix_chain_blocks_hash"), "chain_blocks", ["hash"], unique=False)
    op.create_table(
        "chain_finality",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("chain_id", BIG, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("timestamp", BIG, nullable=False),
        sa.Column("head_number", BIG, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_chain_finality")),
    )
    op.create_table(
        "chain_logs",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("chain_id", BIG, nullable=False),
        sa.Column("block_number", BIG, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("block_timestamp", BIG, nullable=False),
        sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("log_index", BIG, nullable=False),
        sa.Column("address", sa.LargeBinary(length=20), nullable=False),
        sa.Column("topics", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_chain_logs")),
        sa.UniqueConstraint("block_hash", "log_index", name=op.f("uq_chain_logs_block_hash_log_index")),
    )
    op.create_index(
        op.f("ix_chain_logs_chain_id_block_number"), "chain_logs", ["chain_id", "block_number"], unique=False
    )
    op.create_table(
        "chain_reorgs",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("chain_id", BIG, nullable=False),
        sa.Column("fork_number", BIG, nullable=False),
        sa.Column("left_number", BIG, nullable=False),
        sa.Column("left_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("final_number", BIG, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_chain_reorgs")),
    )
    op.create_table(
        "corrections",
        sa.Column("header_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ledger_head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("header_hash", name=op.f("pk_corrections")),
        sa.UniqueConstraint("ledger_head", name=op.f("uq_corrections_ledger_head")),
    )
    op.create_table(
        "epoch_events",
        sa.Column("epoch", BIG, autoincrement=False, nullable=False),
        sa.Column("number", BIG, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", BIG, nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "number", name=op.f("pk_epoch_events")),
    )
    op.create_table(
        "epochs",
        sa.Column("epoch", BIG, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", BIG, nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_epochs")),
    )
    op.create_index(op.f("ix_epochs_state"), "epochs", ["state"], unique=False)
    op.create_table(
        "items",
        sa.Column("arrival", BIG, autoincrement=False, nullable=False),
        sa.Column("uid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("schema", sa.String(length=20), nullable=False),
        sa.Column("signer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("epoch", BIG, nullable=True),
        sa.Column("sequence", BIG, nullable=True),
        sa.Column("received_at", BIG, nullable=False),
        sa.Column("file_digest", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("arrival", name=op.f("pk_items")),
        sa.UniqueConstraint("uid", name=op.f("uq_items_uid")),
    )
    op.create_index(op.f("ix_items_epoch_kind"), "items", ["epoch", "kind"], unique=False)
    op.create_index(op.f("ix_items_kind"), "items", ["kind"], unique=False)
    op.create_table(
        "journal_entries",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("chain", sa.String(length=4), nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("effective_at", BIG, nullable=False),
        sa.Column("canonical", sa.LargeBinary(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("transfer_count", BIG, nullable=False),
        sa.Column("recorded_at", BIG, nullable=False),
        sa.CheckConstraint("chain IN ('seal', 'log')", name=op.f("ck_journal_entries_chain_known")),
        sa.CheckConstraint(
            "length(hash) = 32 AND length(previous_hash) = 32", name=op.f("ck_journal_entries_hash_lengths")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint("chain", "number", name=op.f("uq_journal_entries_chain_number")),
        sa.UniqueConstraint("hash", name=op.f("uq_journal_entries_hash")),
        sa.UniqueConstraint("key", name=op.f("uq_journal_entries_key")),
    )
    op.create_index(op.f("ix_journal_entries_kind"), "journal_entries", ["kind"], unique=False)
    op.create_table(
        "outbox_senders",
        sa.Column("chain_id", BIG, autoincrement=False, nullable=False),
        sa.Column("sender", sa.LargeBinary(length=20), nullable=False),
        sa.Column("first_nonce", BIG, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "sender", name=op.f("pk_outbox_senders")),
    )
    op.create_table(
        "policies",
        sa.Column("version", BIG, autoincrement=False, nullable=False),
        sa.Column("effective_epoch", Uint64(), nullable=False),
        sa.Column("policy_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("block", BIG, nullable=False),
        sa.Column("recorded_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policies")),
    )
    op.create_index(op.f("ix_policies_effective_epoch"), "policies", ["effective_epoch"], unique=False)
    op.create_table(
        "refusals",
        sa.Column("number", BIG, autoincrement=False, nullable=False),
        sa.Column("uid", sa.LargeBinary(length=32), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("signer", sa.LargeBinary(length=20), nullable=True),
        sa.Column("epoch", BIG, nullable=True),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("received_at", BIG, nullable=False),
        sa.Column("file_digest", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_refusals")),
    )
    op.create_index(op.f("ix_refusals_epoch_code"), "refusals", ["epoch", "code"], unique=False)
    op.create_table(
        "tables_documents",
        sa.Column("tables_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("tables_hash", name=op.f("pk_tables_documents")),
    )
    op.create_table(
        "verdict_counts",
        sa.Column("epoch", BIG, autoincrement=False, nullable=False),
        sa.Column("attempt", BIG, autoincrement=False, nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "attempt", "scope", "code", name=op.f("pk_verdict_counts")),
    )
    op.create_table(
        "workspace",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("chain_id", BIG, nullable=False),
        sa.Column("genesis_block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("contracts", sa.Text(), nullable=False),
        sa.Column("ledger_genesis", BIG, nullable=False),
        sa.Column("epoch_length", BIG, nullable=False),
        sa.Column("recorded_at", BIG, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_workspace_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspace")),
    )
    op.create_table(
        "outbox_intents",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("chain_id", BIG, nullable=False),
        sa.Column("sender", sa.LargeBinary(length=20), nullable=False),
        sa.Column("nonce", BIG, nullable=False),
        sa.Column("recipient", sa.LargeBinary(length=20), nullable=False),
        sa.Column("value_wei", Wei256(), nullable=False),
        sa.Column("calldata", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("nonce >= 0", name=op.f("ck_outbox_intents_nonce_not_negative")),
        sa.ForeignKeyConstraint(
            ["chain_id", "sender"],
            ["outbox_senders.chain_id", "outbox_senders.sender"],
            name=op.f("fk_outbox_intents_chain_id_sender_outbox_senders"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox_intents")),
        sa.UniqueConstraint("chain_id", "sender", "nonce", name=op.f("uq_outbox_intents_chain_id_sender_nonce")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_intents_key")),
    )
    op.create_table(
        "transfers",
        sa.Column("entry_seq", BIG, autoincrement=False, nullable=False),
        sa.Column("line_no", BIG, autoincrement=False, nullable=False),
        sa.Column("debit", sa.String(length=60), nullable=False),
        sa.Column("credit", sa.String(length=60), nullable=False),
        sa.Column("asset", sa.String(length=6), nullable=False),
        sa.Column("amount", Wei256(), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.CheckConstraint(
            "amount > '000000000000000000000000000000000000000000000000000000000000000000000000000000'",
            name=op.f("ck_transfers_amount_positive"),
        ),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_transfers_two_accounts")),
        sa.CheckConstraint("line_no >= 0", name=op.f("ck_transfers_line_not_negative")),
        sa.ForeignKeyConstraint(
            ["entry_seq"], ["journal_entries.seq"], name=op.f("fk_transfers_entry_seq_journal_entries")
        ),
        sa.PrimaryKeyConstraint("entry_seq", "line_no", name=op.f("pk_transfers")),
    )
    op.create_table(
        "outbox_attempts",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("intent_seq", BIG, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("voids", sa.Boolean(), nullable=False),
        sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("gas", BIG, nullable=False),
        sa.Column("max_fee_per_gas_wei", Wei256(), nullable=False),
        sa.Column("max_priority_fee_per_gas_wei", Wei256(), nullable=False),
        sa.Column("signed_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["intent_seq"], ["outbox_intents.seq"], name=op.f("fk_outbox_attempts_intent_seq_outbox_intents")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox_attempts")),
        sa.UniqueConstraint("intent_seq", "number", name=op.f("uq_outbox_attempts_intent_seq_number")),
        sa.UniqueConstraint("tx_hash", name=op.f("uq_outbox_attempts_tx_hash")),
    )
    op.create_table(
        "outbox_events",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("intent_seq", BIG, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("block_number", BIG, nullable=True),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["intent_seq"], ["outbox_intents.seq"], name=op.f("fk_outbox_events_intent_seq_outbox_intents")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox_events")),
        sa.UniqueConstraint("intent_seq", "number", name=op.f("uq_outbox_events_intent_seq_number")),
    )


def downgrade() -> None:
    op.drop_table("outbox_events")
    op.drop_table("outbox_attempts")
    op.drop_table("transfers")
    op.drop_table("outbox_intents")
    op.drop_table("workspace")
    op.drop_table("verdict_counts")
    op.drop_table("tables_documents")
    op.drop_index(op.f("ix_refusals_epoch_code"), table_name="refusals")
    op.drop_table("refusals")
    op.drop_index(op.f("ix_policies_effective_epoch"), table_name="policies")
    op.drop_table("policies")
    op.drop_table("outbox_senders")
    op.drop_index(op.f("ix_journal_entries_kind"), table_name="journal_entries")
    op.drop_table("journal_entries")
    op.drop_index(op.f("ix_items_kind"), table_name="items")
    op.drop_index(op.f("ix_items_epoch_kind"), table_name="items")
    op.drop_table("items")
    op.drop_index(op.f("ix_epochs_state"), table_name="epochs")
    op.drop_table("epochs")
    op.drop_table("epoch_events")
    op.drop_table("corrections")
    op.drop_table("chain_reorgs")
    op.drop_index(op.f("ix_chain_logs_chain_id_block_number"), table_name="chain_logs")
    op.drop_table("chain_logs")
    op.drop_table("chain_finality")
    op.drop_index(op.f("ix_chain_blocks_hash"), table_name="chain_blocks")
    op.drop_index(op.f("ix_chain_blocks_chain_id_number"), table_name="chain_blocks")
    op.drop_table("chain_blocks")
    op.drop_table("balances")
    op.drop_table("artefacts")
