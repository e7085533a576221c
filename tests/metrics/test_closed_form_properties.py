"""The closed form against what it is the mean of, for random fully-connected networks."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.init_schemes import INIT_SCHEMES
from nas_sens.metrics.closed_form.expectation import closed_form
from nas_sens.metrics.output_sensitivity import output_noise_statistics

K, N_NETWORKS = 10, 250
N_ERRORS = 5  # standard errors: of a hundred right examples, one in 17,000 would fail by chance


@cache
def digits() -> torch.Tensor:
    images = load_digits().images
    return torch.tensor(images[np.random.default_rng(0).permutation(len(images))[:20]] / 16).reshape(20, 1, 8, 8)


SPECS = st.builds(
    FCSpec,
    depth=st.integers(0, 3),
    width=st.integers(40, 90),  # the closed form is the limit of wide layers
    taper=st.sampled_from([0.8, 1.0, 1.25]),
    activation=st.sampled_from(["relu", "gelu"]),
    bias=st.booleans(),
    batch_norm=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
)


@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])  # to shrink would draw networks for minutes
@given(SPECS, st.sampled_from(INIT_SCHEMES), st.sampled_from([0.05, 0.2, 1.0]))
def test_it_is_the_mean_over_random_networks(spec, init, noise_std):
    x = digits()
    expected = closed_form(spec, x, noise_std=noise_std, init=init, n_outputs=K)
    model, generator = spec.build((1, 8, 8), K).eval(), torch.Generator().manual_seed(0)
    found = []
    with torch.no_grad():
        for _ in range(N_NETWORKS):
            initialize_(model, init, generator=generator)
            clean = model(x.float())
            noisy = model(x.float() + noise_std * torch.randn(x.shape, generator=generator))
            s = output_noise_statistics(clean, noisy, after_softmax=False)[0]
            found.append([float(s), float(clean.double().square().sum(dim=1).mean())])
    for log10, values in zip((expected.log10_sensitivity, expected.log10_output_power), np.array(found).T, strict=True):
        error = values.std(ddof=1) / math.sqrt(N_NETWORKS) / values.mean()
        assert error < 0.1
        assert 10**log10 / values.mean() == pytest.approx(1, abs=N_ERRORS * error)
