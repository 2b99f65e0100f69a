"""Observe → plan → apply → report: the only part that does things in time.

Handlers feed it events; it calls the pure core and the providers. Nothing here knows kopf.
"""
