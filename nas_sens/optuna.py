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
from .own_study.several_objectives import should_train
from .own_study.warm_start import enqueue

__all__ = ["Scored", "SensitivityPruner", "SensitivitySampler", "enqueue", "score", "should_train"]
