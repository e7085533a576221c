from __future__ import annotations

import optuna
import optunahub
import torch
from torch import nn

module = optunahub.load_local_module(package="package/pruners/nas_sens_sensitivity", registry_root=".")


def test_it_prunes_before_the_first_report() -> None:
    def objective(trial: optuna.Trial) -> float:
        units = trial.suggest_int("units", 1, 64)
        module.score(trial, nn.Sequential(nn.Linear(3, units), nn.ReLU(), nn.Linear(units, 2)), torch.randn(8, 3))
        if trial.should_prune():
            raise optuna.TrialPruned
        return float(units)

    pruner = module.SensitivityPruner(control=0.0)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
    study.optimize(objective, n_trials=30)
    pruned = [t.params["units"] for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]
    trained = [t.params["units"] for t in study.trials[8:] if t.state == optuna.trial.TrialState.COMPLETE]
    assert pruned
    assert trained
    assert sum(trained) / len(trained) < sum(pruned) / len(pruned)
