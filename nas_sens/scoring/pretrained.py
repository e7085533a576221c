"""S of a pre-trained network in two states: at its own weights and at a probe of random ones, both for selection."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Literal

from torch import nn

from ..architectures import ArchitectureSpec
from .probe import Probe
from .score import score

OWN, DRAWN = "log10_sensitivity_pretrained", "log10_sensitivity_probed"
_SCHEME: Literal["standard_normal"] = "standard_normal"  # of the second state where ``[score] probe_init`` is "own"


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
    is_own = probe.spec.probe_init == "own"
    name = DRAWN if is_own else OWN
    other = copy.copy(probe)  # the same inputs, noise and numbers
    other.spec = replace(probe.spec, probe_init=_SCHEME if is_own else "own", precision=None, racing=False)
    found = score(architecture, model, other)
    value = found.log10_sensitivity
    return ({}, {name: found.status}) if value is None else ({name: value}, {})
