"""Vault in mode Fenced: the admin writes role and policy once, the operator only fills the slots of an account."""
