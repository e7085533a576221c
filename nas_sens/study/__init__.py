"""Everything that a user declares, but for the data: studies, search spaces, how to score, search, select and train."""
