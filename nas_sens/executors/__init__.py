"""How the processes that share a study divide its work."""
