"""Optimizers by their usual names, as PyTorch has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..study.train_spec import TrainSpec

LBFGS_ITERATIONS = 20  # of one epoch; PyTorch's default


def make_optimizer(model: nn.Module, spec: TrainSpec) -> torch.optim.Optimizer:
    """Return the optimizer of all parameters of ``model`` that ``spec`` declares."""
    parameters: Any = list(model.parameters()) if spec.layer_decay == 1 else _by_layer(model, spec)
    if spec.optimizer == "lbfgs":
        return torch.optim.LBFGS(
            parameters, lr=spec.learning_rate, max_iter=LBFGS_ITERATIONS, line_search_fn="strong_wolfe"
        )
    common: dict[str, Any] = {"lr": spec.learning_rate, "weight_decay": spec.weight_decay}
    if spec.optimizer == "adam":
        return torch.optim.Adam(parameters, fused=True, **common)
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(parameters, fused=True, **common)
    if spec.optimizer == "rmsprop":  # has no fused form
        return torch.optim.RMSprop(parameters, momentum=spec.momentum, foreach=True, **common)
    return torch.optim.SGD(parameters, momentum=spec.momentum, nesterov=spec.nesterov, fused=True, **common)


def _by_layer(model: nn.Module, spec: TrainSpec) -> list[dict[str, Any]]:
    """Return groups of parameters, each with its share of the learning rate; those of one dimension have no decay.

    Layers are what timm's networks say themselves; of others every module with a weight matrix begins one.
    """
    of_timm = next((m for m in model.modules() if hasattr(m, "group_matcher")), None)  # our networks hold it
    if of_timm is not None:
        from timm.optim import param_groups_layer_decay

        groups: list[dict[str, Any]] = param_groups_layer_decay(
            of_timm, weight_decay=spec.weight_decay, layer_decay=spec.layer_decay
        )
    else:
        groups = _in_order(model, spec)
    for group in groups:
        group.pop("param_names", None)
        if spec.schedule == "constant" and not spec.warmup_epochs:  # timm's schedules take the share into account
            group["lr"] = spec.learning_rate * group["lr_scale"]
    return groups


def _in_order(model: nn.Module, spec: TrainSpec) -> list[dict[str, Any]]:
    layers: list[list[nn.Parameter]] = []
    for parameter in model.parameters():
        if parameter.ndim > 1 or not layers:
            layers.append([])
        layers[-1].append(parameter)
    return [
        {
            "params": parameters,
            "lr_scale": spec.layer_decay ** (len(layers) - 1 - i),
            "weight_decay": spec.weight_decay if is_matrix else 0.0,
        }
        for i, layer in enumerate(layers)
        for is_matrix in (True, False)
        if (parameters := [p for p in layer if (p.ndim > 1) == is_matrix])
    ]
