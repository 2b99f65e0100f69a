"""What `airwarden` does for people, each command under the rights of whoever runs it. `airwarden.cli` lists them."""
