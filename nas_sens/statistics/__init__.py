"""Statistics of candidates and trained networks: correlations, lines, groups, bootstrap intervals."""
