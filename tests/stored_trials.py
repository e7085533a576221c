"""Trials for tests of databases: of all states, types of values and attributes."""

from __future__ import annotations

import math

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

SPACE = {
    "family": CategoricalDistribution(["cnn", "fc"]),
    "fc.width": IntDistribution(1, 4096, log=True),
    "fc.rate": FloatDistribution(0.001, 0.5, log=True),
    "fc.bias": CategoricalDistribution([True, None, 2, "no"]),
}


def trial(i: int) -> FrozenTrial:
    params = {"family": ["cnn", "fc"][i % 2], "fc.width": i + 1, "fc.rate": 0.001 * (i + 1)}
    params["fc.bias"] = [True, None, 2, "no"][i % 4]
    return create_trial(
        state=TrialState.COMPLETE if i % 3 else TrialState.FAIL,
        value=[math.pi * 10.0**i, math.inf, -math.inf][i % 3 if i > 5 else 0] if i % 3 else None,
        params=params,
        distributions=SPACE,
        user_attrs={"digest": f"{i:04d}", "text": "ä\n'", "none": None, "list": [1, 2.5], "flag": True},
        system_attrs={"s": i},
    )


def everything(t: FrozenTrial) -> tuple[object, ...]:
    without = {k: v for k, v in vars(t).items() if not k.startswith("_trial_id") and "datetime" not in k}
    return tuple(sorted(without.items(), key=lambda item: item[0]))
