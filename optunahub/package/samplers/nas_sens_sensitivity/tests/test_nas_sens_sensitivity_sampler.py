from __future__ import annotations

import optunahub
import pytest
import torch
from optuna.testing.pytest_samplers import BasicSamplerTestCase, SingleOnlySamplerTestCase
from torch import nn

SensitivitySampler = optunahub.load_local_module(
    package="package/samplers/nas_sens_sensitivity", registry_root="."
).SensitivitySampler


def build(trial):
    return nn.Linear(3, trial.suggest_int("units", 2, 6))


class TestSensitivitySampler(BasicSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: SensitivitySampler(build, torch.ones(4, 3), n_screen=3, seed=0)
