"""What to do about each refusal of the ledger's own contracts, by the error's name."""

from typing import Final

_HEADER = "the header is not what this chain's state asks for: ath-ledger audit verify, ath-ledger doctor"
_EMERGENCY = "ath-ledger chain status shows whether claims are paused and what is pending"

REMEDIES: Final[dict[str, str]] = {
    # RewardsLedger: epochs
    "ProposalsAreClosed": "an epoch was revoked; the governor lets the publisher go on: ath-ledger gov reopen",
    "ProposalsAreOpen": "nothing to reopen: ath-ledger chain status",
    "EpochPending": "an epoch is in its window: wait, or let the guardian throw it away: ath-ledger gov revoke-epoch",
    "NothingPending": "no epoch is in its window: ath-ledger chain status",
    "WrongEpoch": "propose the epoch the contract expects: ath-ledger chain status",
    "EpochNotOver": "wait until the epoch's end: ath-ledger epoch list",
    "WrongParent": "the header stands on another one than the chain's last: ath-ledger doctor",
    "WrongPolicy": "another policy governs the epoch on chain: ath-ledger gov show",
    "WrongReserve": "the reserve is its share of the budget, rounded down: ath-ledger gov show",
    "CarbonAboveCap": "carbon is capped by the policy's carbonCapBps: ath-ledger gov show",
    "WrongTotal": "payout, carbon, reserve and rollover sum to budget and stored rollover: ath-ledger audit verify",
    "ResidualTooLarge": _HEADER,
    "RootMissing": "a header that pays, or corrects, names a claim root: ath-ledger audit verify",
    "RootWithoutPayout": "an epoch that pays nobody keeps the root that stands: ath-ledger audit verify",
    "WrongHeader": "only the proposed header, unchanged, can be activated or revoked: ath-ledger chain status",
    "WindowOpen": "wait until the window has passed: ath-ledger chain status",
    "PullFailed": "fund the treasury, and let it approve the RewardsLedger for the token: ath-ledger doctor",
    "TransferShort": "the token kept a part or paid twice; only a plain ERC-20 can be settled in",
    # RewardsLedger: claims
    "ClaimsArePaused": "wait until the governor resumes them (ath-ledger gov resume); rewards never expire",
    "ClaimsAreNotPaused": "the guardian stops claims first: ath-ledger gov pause",
    "InvalidProof": "fetch the proof anew: ath-ledger rewards proof",
    "CumulativeTooLarge": "no leaf holds so much: ath-ledger rewards proof",
    "NothingToClaim": "it is claimed already: ath-ledger rewards show",
    "LengthMismatch": "give as many amounts and proofs as accounts",
    "PayeeNotAllowed": "name an account that can use what it receives: ath-ledger rewards set-payee",
    "SignatureExpired": "let the account sign anew, with a later deadline",
    "InvalidSignature": "let the account itself sign: ath-ledger rewards set-payee",
    "NotForeign": "the token that rewards are paid in cannot be recovered",
    # RewardsLedger: corrections
    "NoEpochYet": "there is no root to correct before the first activation",
    "CorrectionMovesMoney": "a correction pays nothing: ath-ledger gov supersede builds it",
    "WrongRollover": "a correction keeps the stored rollover: ath-ledger gov supersede builds it",
    # PolicyRegistry
    "OutOfBounds": "stay within the bounds of docs/spec/rewards.md R5.1: ath-ledger gov propose checks them",
    "StepTooLarge": "go in smaller steps, one policy after another: ath-ledger gov propose",
    "BudgetRises": "the budget may only fall: ath-ledger gov propose",
    "NoMajority": "quorumQ is more than half of quorumK: ath-ledger gov propose",
    "NoticeTooShort": "name the earliest epoch or a later one: ath-ledger gov propose --effective-epoch",
    "NotAfterLatest": "name an epoch after the latest one scheduled, or cancel that: ath-ledger gov show",
    "NotScheduled": "no policy begins there: ath-ledger gov show",
    "AlreadyEffective": "schedule another policy instead: ath-ledger gov propose",
    "FirstPolicyStands": "the first policy cannot be cancelled; schedule another: ath-ledger gov propose",
    "NoPolicy": "ath-ledger gov show",
    "VerifierIsZero": "name the verifier's account: ath-ledger gov verifier set",
    "VerifierChangeTooEarly": "name the earliest epoch or a later one: ath-ledger gov verifier set --from-epoch",
    "FirstPolicyMustBeAtGenesis": "the first policy is for epoch 0 and comes before genesis: ath-ledger chain deploy",
    "GenesisPassed": "choose a genesis that lies ahead: ath-ledger chain config --genesis",
    "NotWholeHours": "genesis and epoch length are whole hours: ath-ledger chain config",
    "EpochLengthOutOfBounds": "choose another length: ath-ledger chain config --epoch-length",
    "AddressIsZero": "name every address: ath-ledger chain config",
    "ReserveIsTreasury": "treasury and reserve are two accounts: ath-ledger chain config",
    "WindowOutOfBounds": "the window is shorter than an epoch: ath-ledger chain config --window",
    # CarbonVault
    "NotLedger": "only the RewardsLedger tells the vault of an epoch",
    "NothingToRetire": "name at least a gram: ath-ledger carbon retire --grams",
    "CertificateMissing": "name the certificate: ath-ledger carbon retire --certificate-hash",
    "CertificateAlreadyUsed": "each certificate counts once: name another one",
    "SupplierNotAllowed": "name the supplier's own account: ath-ledger carbon retire --supplier",
    "PaymentAboveHeld": "pay at most what the vault holds: ath-ledger carbon show",
    "PaymentAbovePrice": "pay at most twice the governed price: ath-ledger carbon show",
    "RetiresMoreThanPaidFor": "retire at most what was paid for: ath-ledger carbon show",
}  # fmt: skip
