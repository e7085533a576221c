"""Studies in an SQL database, and trained weights in a folder beside it."""
