"""For an Optuna study of one's own: scores of untrained networks, and a pruner, a sampler and a warm start by them.

    import nas_sens.optuna

    study = optuna.create_study(pruner=nas_sens.optuna.SensitivityPruner())

    def objective(trial):
        model = build(trial)
        nas_sens.optuna.score(trial, model, x)
        if trial.should_prune():
            raise optuna.TrialPruned()
        ...
"""

from .own_study.pruner import SensitivityPruner
from .own_study.sampler import SensitivitySampler
from .own_study.score import Scored, score

__all__ = ["Scored", "SensitivityPruner", "SensitivitySampler", "score"]
