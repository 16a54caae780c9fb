"""What of the evidence counts (R3): who may say what, what contradicts itself, what was used before."""
