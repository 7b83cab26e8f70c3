"""Seconds that a shutdown may take when its server is away."""
BOUND = 30
# An emulated machine takes its time for what it does by itself, before and after.
ALLOWANCE = 30
