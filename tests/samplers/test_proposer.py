"""Proposals: every sampler is a function of space, seed and answers, and obeys the bounds."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from scipy import stats

from nas_sens.architectures.fc import FCSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.samplers.proposer import Proposer
from nas_sens.study.search_space import SearchSpace

MIXED = SearchSpace(
    name="mixed",
    families={
        "fc": {
            "depth": {"type": "int", "low": 1, "high": 5},
            "width": {"type": "int", "low": 16, "high": 256, "log": True},
            "dropout": {"type": "float", "low": 0.1, "high": 0.6},
        },
        "cnn": {"depth": 1, "channels": {"type": "int", "low": 2, "high": 30, "step": 4}, "kernel": [3, 5]},
    },
)
SMALL = SearchSpace(name="small", families={"fc": {"depth": [1, 2, 3], "width": {"type": "int", "low": 1, "high": 8}}})


def propose(sampler, *, seed=0, n=14, space=MIXED, answer=lambda i, a: float(i % 5)):
    """Return ``n`` proposals, every fourth of which is answered by "no value"."""
    proposer = Proposer(space, sampler=sampler, seed=seed, n_candidates=n)
    proposals = []
    for i in range(n):
        proposal = proposer.ask()
        if proposal is None:
            break
        proposer.tell(proposal, None if i % 4 == 3 else answer(i, proposal.architecture))
        proposals.append(proposal)
    return proposals


def digests(proposals):
    return [p.architecture.digest for p in proposals]


def test_random_samples_follow_their_distributions():
    proposals = propose("random", n=600)
    fcs = [p.architecture for p in proposals if isinstance(p.architecture, FCSpec)]
    assert stats.binomtest(len(fcs), len(proposals)).pvalue > 0.001
    depths = np.bincount([a.depth for a in fcs], minlength=6)
    assert depths[0] == 0
    assert stats.chisquare(depths[1:]).pvalue > 0.001
    assert stats.kstest([a.dropout for a in fcs], stats.uniform(0.1, 0.5).cdf).pvalue > 0.001
    logs = np.log([a.width for a in fcs])
    assert stats.kstest(logs, stats.uniform(np.log(15.5), np.log(256.5 / 15.5)).cdf).pvalue > 0.001
    channels = {p.architecture.channels for p in proposals if not isinstance(p.architecture, FCSpec)}
    assert channels == {2, 6, 10, 14, 18, 22, 26, 30}


def test_the_first_proposals_do_not_depend_on_how_many_are_wanted():
    assert digests(propose("random", n=5)) == digests(propose("random", n=50))[:5]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_model_based_samplers_look_for_small_values(sampler):
    # Several dimensions: with only one, NSGA-II mutates it every time and is random.
    parameters = {k: {"type": "int", "low": 0, "high": 1000} for k in ("init_scale", "depth")}
    space = SearchSpace(name="plane", families={"fc": {**parameters, "width": {"type": "int", "low": 1, "high": 1000}}})
    n = {"tpe": 100, "nsga2": 400, "gp": 18}[sampler]
    proposals = propose(sampler, n=n, space=space, answer=lambda i, a: value(a))
    values = [value(p.architecture) for p in proposals]
    assert np.mean(values[-n // 3 :]) < 0.7 * 1500, "the sampler does not use the answers"


def value(architecture):
    return architecture.init_scale + architecture.depth + architecture.width


@pytest.mark.parametrize(("n_candidates", "expected"), [(23, "random"), (24, "enumerate"), (500, "enumerate")])
def test_auto_enumerates_what_is_small_enough(n_candidates, expected):
    assert Proposer(SMALL, sampler="auto", seed=0, n_candidates=n_candidates).sampler == expected
    assert Proposer(MIXED, sampler="auto", seed=0, n_candidates=n_candidates).sampler == "random"


@pytest.mark.parametrize("sampler", ["random", "tpe", "enumerate", "auto"])
def test_a_space_of_one_architecture(sampler):
    space = SearchSpace(name="one", families={"fc": {"depth": 1, "width": 4}})
    proposals = propose(sampler, space=space)
    assert [p.architecture for p in proposals] == [FCSpec(depth=1, width=4)]
    assert dict(proposals[0].params) == {}


def test_what_cannot_be_enumerated_is_refused():
    with pytest.raises(InvalidInputError, match="'mixed' has infinitely many; take another sampler"):
        Proposer(MIXED, sampler="enumerate", seed=0, n_candidates=5)
    large = SearchSpace(
        name="large", families={"fc": {"depth": {"type": "int", "low": 1, "high": 3000}, "width": list(range(1, 2000))}}
    )
    with pytest.raises(InvalidInputError, match="'large' has 5,997,000; take another sampler"):
        Proposer(large, sampler="enumerate", seed=0, n_candidates=5)


def test_optunas_verbosity_is_left_as_it_was():
    before = optuna.logging.get_verbosity()
    Proposer(MIXED, sampler="random", seed=0, n_candidates=1).ask()
    assert optuna.logging.get_verbosity() == before
