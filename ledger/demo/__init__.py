"""A demonstration network: real fleet and grid figures, synthetic behaviour, everything signed and repeatable.

Keys are derived from a public seed: never use them for anything of value. `ledger/data/figures/SOURCES.md`
says what is real, what is synthetic, and whom to attribute.
"""
