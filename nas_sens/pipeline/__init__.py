"""The main flow: declare, prepare, enter, score, train."""
