"""`python -m airwarden` is `airwarden`."""

from airwarden.cli import main

main()
