"""Azure Key Vault: role assignments, user-assigned identities and federated credentials, through Azure's own clients.

`opening` makes a store of a backend; nothing else of this package is used from outside but `setup`.
"""
