"""The command line, `ath-ledger`: noun, verb, and an answer within a second.

Command modules import nothing heavy at their top: web3 alone costs a second, and `--help` needs none of it.
"""

from ledger.cli.edge import main

__all__ = ["main"]
