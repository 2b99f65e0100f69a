"""Measures the operator on the local control plane: `make bench`, or `python -m benchmarks`.

Nothing here is shipped. Every figure comes from what was really counted: audit logs, the kernel's accounting,
times of watch events. What the figures mean for users stands in docs/performance.md.
"""
