"""Bytes everybody must agree on: keccak, ABI words, canonical JSON, standard-v1 trees, an epoch's commitments."""
