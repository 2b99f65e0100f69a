"""The rotating side of a Vault: a login and a client of its own, which write values and no policies."""
