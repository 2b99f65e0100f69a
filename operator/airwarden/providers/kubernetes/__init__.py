"""The cluster itself: objects of ours, service accounts, statuses and Events."""
