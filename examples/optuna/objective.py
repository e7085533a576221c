"""An objective of one's own for Optuna, with two lines of nas_sens: one that scores, one that prunes by the scores.

python objective.py
nas-sens report --optuna digits --storage sqlite:///digits.db
"""

import optuna
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import nas_sens.optuna

images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
x_train, y_train, x_val, y_val = x[:1200], y[:1200], x[1200:], y[1200:]


def build(trial):
    layers, n = [], 64
    for _ in range(trial.suggest_int("depth", 1, 5)):
        width = trial.suggest_int("width", 4, 128, log=True)
        layers += [nn.Linear(n, width), nn.ReLU()]
        n = width
    return nn.Sequential(*layers, nn.Linear(n, 10))


def objective(trial):
    torch.manual_seed(trial.number)
    model = build(trial)
    nas_sens.optuna.score(trial, model, x_train[:128])  # ours
    if trial.should_prune():
        raise optuna.TrialPruned
    optimizer = torch.optim.Adam(model.parameters(), trial.suggest_float("lr", 1e-4, 1e-2, log=True))
    error = 1.0
    for epoch in range(8):
        for rows in torch.randperm(len(x_train)).split(64):
            loss = functional.cross_entropy(model(x_train[rows]), y_train[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            error = float((model(x_val).argmax(1) != y_val).float().mean())
        trial.report(error, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return error


if __name__ == "__main__":
    pruner = nas_sens.optuna.SensitivityPruner(base=optuna.pruners.MedianPruner())  # ours
    study = optuna.create_study(study_name="digits", storage="sqlite:///digits.db", pruner=pruner, load_if_exists=True)
    study.optimize(objective, n_trials=40 - len(study.trials))
    print(study.best_trial.params, study.best_value)
