"""What a bundle says about itself to a person who opens it."""

from typing import Final

BUNDLE_README: Final = """\
# One epoch of an ATH Ledger

This file holds everything that produced one epoch's rewards, and everything the ledger says came out. Check it with
no database and no network:

    ath-ledger audit verify FILE

and against the chain the ledger settles on:

    ath-ledger audit verify FILE --rpc URL

Several bundles of consecutive epochs are checked as one walk, each with what the one before left:

    ath-ledger audit verify epoch-0.zip epoch-1.zip epoch-2.zip

The check judges all evidence again, recomputes every node's statement with a second, independent calculator, derives
claim tree, manifest, seal and header from that, and compares each with what is stored here. It names the first
difference and ends with exit code 4.

What only the chain can say is held against it with `--rpc`: that the header is there, who the verifiers were, which
contracts the ledger settles on and on what terms, and the settlement transactions.

## Members

All are canonical JSON (RFC 8785, no floats, integers beyond 2^53 as decimal strings): `.json` is one document,
`.ndjson` one document a line. Amounts are wei, energy is Wh, carbon is micrograms of CO2e, times are Unix seconds.

| member | content |
|---|---|
| `index.json` | SHA-256 and size of every other member, the epoch and its header's hash |
| `deployment.json` | chain, contracts and calendar of the ledger |
| `epoch.json` | the block at which roles were read |
| `registrations.ndjson` | every node registration that could count, signed |
| `batches/<uid>.ndjson` | one attestation batch: signed header, then its records in key order |
| `revocations.ndjson` | what verifiers took back, signed |
| `roles.json`, `policy.json`, `tables.json` | who could attest what, and the parameters and figures that applied |
| `verdicts.ndjson` | on every item, and every record that did not count whole; the empty code is "accepted" |
| `hours-refused.ndjson` | meter readings outside what the hardware can do |
| `claims-credited.ndjson` | every certificate claim that counted, and the Wh credited of it |
| `zone-hours.ndjson` | by zone and hour: grid factors used, what they rest on, energy, Wh matched |
| `statements.ndjson`, `totals.json` | the result, by node and in all |
| `tree.json` | the claim tree, as @openzeppelin/merkle-tree loads it (`StandardMerkleTree.load`) |
| `journal.ndjson` | the seal-chain entries since the seal before, with their transfers; the last one is the seal |
| `manifest.json`, `header.json` | the hashes of all inputs, and what went on chain |
| `settlement.json` | the transactions that proposed and activated it, once they are final |
| `before/…` | what the epoch before left, with the documents that tie it to its header's hash |

Rules are cited by the numbers of the specification that comes with ATH Ledger: R of the rewards, E of the encodings.
"""
