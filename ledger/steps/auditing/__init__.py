"""Assembling what an auditor proves, from the workspace and from the chain."""
