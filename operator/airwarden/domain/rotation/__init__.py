"""When a secret is rotated, and what is done next in a run: pure arithmetic and decisions, no store, no clock."""
