"""A stand-in for Azure: Resource Manager, Entra, Graph, Key Vault and the metadata endpoint, over HTTPS on loopback.

There is no way to have Azure without a subscription, so the tests have this: a real server with state, Azure's
errors, limits and delays, which enforces the role assignments that it was given and refuses what Azure refuses.
What it may be trusted with is shown by clients that others wrote (tests/contract/azure/test_stand_in_*.py).
Begin with `stand_in.py`; nothing here is part of the product.
"""
