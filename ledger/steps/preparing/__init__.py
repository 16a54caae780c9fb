"""What operators and verifiers sign, before it is sent."""
