"""optuna-dashboard on a storage, with notes and plots."""
