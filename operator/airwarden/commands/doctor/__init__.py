"""`airwarden doctor`: facts with the caller's rights, pure checks that judge them, and what is shown of it."""
