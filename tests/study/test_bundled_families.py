"""Bundled spaces of the larger families: their candidates build, are counted and get scores on small images."""

from __future__ import annotations

import pytest
import torch

from nas_sens.architectures import count_flops, count_params
from nas_sens.core.errors import InfeasibleArchitectureError
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.study.search_space import load_space


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("name", ["resnet", "resnet_stages", "convnext", "mbconv", "vit", "popular_cnns", "timm_small"])
def test_candidates_have_finite_scores(name, shape, generator):
    space = load_space(name)
    x = torch.rand(8, *shape, generator=generator)
    # By Monte Carlo: the closed form of average pools over 28×28 positions takes more than a minute.
    probe = Probe(x, ScoreSpec(estimator="monte_carlo", seeds=1), seed=0)
    n_scored, n_feasible = 0, 0
    for seed in range(12):
        if n_feasible == (3 if name == "timm_small" else 4):
            break
        spec = space.sample(seed=seed)
        try:
            skeleton = spec.skeleton(shape, 10)
        except InfeasibleArchitectureError:
            if name != "vit":  # whose patches need not divide the image
                raise
            continue
        model = skeleton.to_empty(device="cpu")
        counts = {"params": count_params(model), "flops": count_flops(model, shape)}
        if space.violation(counts):
            continue
        n_feasible += 1
        result = score(spec, model, probe)
        n_scored += result.status == "ok"
    assert n_feasible >= 3
    assert n_scored == n_feasible


def test_every_family_of_popular_cnns_is_feasible_everywhere():
    space = load_space("popular_cnns")
    assert set(space.families) == {"alexnet", "vgg", "resnet"}
    for family in space.families:
        low = {k: getattr(d, "low", None) or d.choices[0] for k, d in space.distributions(family).items()}
        for shape in ((1, 28, 28), (3, 32, 32)):
            try:
                space.architecture({"family": family, **low}).skeleton(shape, 10)
            except InfeasibleArchitectureError as error:
                pytest.fail(f"{family} on {shape}: {error}")


def test_timm_small_holds_models_that_take_28_pixels():
    space = load_space("timm_small")
    assert space.cardinality == len(list(space.enumerate())) >= 8
