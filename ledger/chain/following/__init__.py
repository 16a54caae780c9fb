"""What the chain says happened: finality, epochs, and what governance decided."""
