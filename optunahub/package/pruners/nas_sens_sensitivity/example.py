import optuna
import optunahub
import torch
from sklearn.datasets import load_digits
from torch import nn

x, y = (torch.tensor(a) for a in load_digits(return_X_y=True))
x = x.float() / 16
x_train, y_train, x_val, y_val = x[:1000], y[:1000], x[1000:], y[1000:]


def build(trial: optuna.Trial) -> nn.Module:
    depth = trial.suggest_int("depth", 1, 3)
    width = trial.suggest_int("width", 8, 128, log=True)
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(64 if i == 0 else width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


if __name__ == "__main__":
    module = optunahub.load_module("pruners/nas_sens_sensitivity")

    def objective(trial: optuna.Trial) -> float:
        model = build(trial)
        module.score(trial, model, x_val[:64])
        if trial.should_prune():
            raise optuna.TrialPruned
        optimizer = torch.optim.Adam(model.parameters(), lr=trial.suggest_float("lr", 1e-3, 1e-2, log=True))
        accuracy = 0.0
        for epoch in range(5):
            for part in torch.randperm(len(x_train)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x_train[part]), y_train[part]).backward()
                optimizer.step()
            with torch.no_grad():
                accuracy = float((model(x_val).argmax(1) == y_val).float().mean())
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    study = optuna.create_study(direction="maximize", pruner=module.SensitivityPruner())
    study.optimize(objective, n_trials=30)
    print(study.best_params, study.best_value)
