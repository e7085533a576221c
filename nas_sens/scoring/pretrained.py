"""S of a pre-trained network in two states: at its own weights and at a probe of random ones, both for selection."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import nn

from ..architectures import ArchitectureSpec
from ..core.init_schemes import InitScheme
from .probe import Probe
from .score import score

OWN, DRAWN = "log10_sensitivity_pretrained", "log10_sensitivity_probed"
_SCHEME: InitScheme = "standard_normal"  # of the second state where ``[score] probe_init`` is "own"


def other_sensitivity(
    architecture: ArchitectureSpec, model: nn.Module, probe: Probe
) -> tuple[dict[str, float], dict[str, str]]:
    """Return log10 S in the state that the score is not of, by name, or why it has no value.

    The score is of networks as ``[score] probe_init`` says. At the pre-trained weights what is drawn at random is only
    what there are none for, the read-out mostly.

    Args:
        architecture: A candidate; of one that is not pre-trained nothing is returned.
        model: Its network on the probe's device; its parameters are set anew.
        probe: Inputs, noise and protocol.
    """
    if not architecture.is_pretrained:
        return {}, {}
    name, scheme = (DRAWN, _SCHEME) if probe.spec.probe_init == "own" else (OWN, "own")
    other = copy.copy(probe)  # the same inputs, noise and numbers
    other.spec = replace(probe.spec, probe_init=scheme, precision=None, racing=False)
    found = score(architecture, model, other)
    value = found.log10_sensitivity
    return ({}, {name: found.status}) if value is None else ({name: value}, {})
