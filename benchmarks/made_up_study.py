"""Records of a study as large as one likes, made up: curves, seeds, measures, prunings, failures, a control group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nas_sens.core.candidates import CONTROL, ScoredCandidate, TrainedCandidate
from nas_sens.core.identity import canonical_json
from nas_sens.results.search_result import SearchResult

N_FAILED, N_PRUNED, N_CONTROL = 50, 12, 10  # one in so many
FIGURES = (
    {"kind": "scatter", "x": "log10_sensitivity_after", "y": "log10_test_loss", "fit": True, "group": "depth"},
    {"kind": "curve", "y": "val_loss", "group": "depth"},
    {"kind": "heat_map", "x": "depth", "y": "family", "colour": "test_error"},
)


def made_up_study(n_trained: int, n_candidates: int, *, seed: int = 0, has_figures: bool = True) -> SearchResult:
    """Return a study of which the first candidates are trained; a few of all kinds have failed.

    Args:
        n_trained: Trained candidates.
        n_candidates: All candidates, at least as many.
        seed: Of all that is random.
        has_figures: Whether it declares figures.
    """
    rng = np.random.default_rng(seed)
    candidates = [_candidate(i, rng, is_dead=i >= n_trained and i % 29 == 0) for i in range(n_candidates)]
    trained = [_trained(c, i, rng) for i, c in enumerate(candidates[:n_trained])]
    trained.sort(key=lambda t: (not t.is_ok, math.inf if t.val_loss is None else t.val_loss, t.digest))
    protocol: dict[str, Any] = {
        "data": {"name": "digits", "task": "classification"},
        "select": {"rule": "calibrated", "target": "val_error"},
        "figures": list(FIGURES) if has_figures else [],
    }
    return SearchResult("made up", protocol, tuple(candidates), tuple(trained), "val_loss")


def _candidate(i: int, rng: np.random.Generator, *, is_dead: bool) -> ScoredCandidate:
    values = {"family": ("fc", "cnn")[i % 2], "depth": int(rng.integers(1, 9)), "width": int(rng.integers(4, 4096))}
    log10_s, params = float(rng.normal()), int(10 ** rng.uniform(4, 7))
    return ScoredCandidate(
        digest=f"{i:07d}{int(rng.integers(2**32)):08x}",
        architecture=canonical_json({**values, "init": "he_normal"}),
        training={"learning_rate": float(10 ** rng.uniform(-4, -1))},
        params=params,
        flops=2 * params,
        log10_sensitivity=None if is_dead else log10_s,
        log10_relative_sensitivity=None if is_dead else log10_s - 1 + float(rng.normal(0, 0.1)),
        stderr=None if is_dead else 0.05,
        estimator="monte_carlo",
        n_seeds=4,
        measures={"naswot": log10_s + float(rng.normal())},
        status="dead: S = 0" if is_dead else "ok",
        number=i,
    )


def _trained(c: ScoredCandidate, i: int, rng: np.random.Generator) -> TrainedCandidate:
    assert c.params is not None
    assert c.flops is not None
    assert c.log10_sensitivity is not None
    is_control = i % N_CONTROL == 0
    loss = float(0.4 * 10 ** (0.05 * c.log10_sensitivity + 0.1 * rng.normal()))
    error = round(360 * float(np.clip(0.1 + 0.01 * c.log10_sensitivity + 0.03 * rng.normal(), 0, 1))) / 360
    n_epochs = int(rng.integers(30, 61))
    curve = (loss + 2 * np.exp(-np.arange(n_epochs) / 8) + 0.02 * rng.random(n_epochs)).tolist()
    fields: dict[str, Any] = {
        **{"digest": c.digest, "architecture": c.architecture, "training": c.training, "candidate": i, "number": i},
        **{"params": c.params, "flops": c.flops, "log10_sensitivity_before": c.log10_sensitivity, "seconds": 12.0},
        **{"chosen_by": CONTROL if is_control else "calibrated", "reason": f"expected improvement 0.0{i}"},
        **({} if is_control else {"round": i // 100 + 1, "predicted_mean": error + 0.01, "predicted_sd": 0.02}),
    }
    if i % N_FAILED == 7:
        return TrainedCandidate(**fields, status=f"training loss became NaN in epoch {i % 40}")
    if i % N_PRUNED == 5 and not is_control:
        n = 5 + i % 3
        return TrainedCandidate(**fields, status=f"pruned: after epoch {n} of 60", curve=tuple(curve[:n]))
    has_s = i % 61 != 0
    figures = {"val_loss": loss, "test_loss": 1.02 * loss, "val_error": error, "test_error": min(1.0, error + 0.01)}
    return TrainedCandidate(
        **fields,
        **figures,
        **{f"{name}_sd": 0.03 * value for name, value in figures.items()},
        n_seeds=3,
        train_loss=0.7 * loss,
        train_error=0.5 * error,
        log10_sensitivity_after=c.log10_sensitivity + 1 + float(rng.normal(0, 0.1)) if has_s else None,
        predicted_loss=loss * float(10 ** rng.normal(0, 0.05)) if has_s else None,
        curve=tuple(curve),
        curve_epochs=tuple(range(1, n_epochs + 1)),
        curves={name: tuple(rng.random(n_epochs).tolist()) for name in ("train_loss", "train_error", "val_error")},
        measures={"jacobian_norm": float(10 ** rng.normal())} if has_s else {},
    )
