"""Somebody's own Optuna study: scores of its networks, a pruner, a sampler and a warm start that learn from it."""
