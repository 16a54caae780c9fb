"""From a configuration to contracts on a chain."""
