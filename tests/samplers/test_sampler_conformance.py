"""What every sampler must do, also one that is new: propose as a function of space, seed and answers, within bounds."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest

from nas_sens.samplers.proposer import Proposer
from nas_sens.study.proposal import Proposal
from nas_sens.study.sampler import SAMPLERS, Sampler
from nas_sens.study.search_space import SearchSpace

Answer = Callable[[int, Proposal], float | None]

INFINITE = SearchSpace(
    name="infinite",
    families={
        "fc": {
            "depth": {"type": "int", "low": 1, "high": 5},
            "width": {"type": "int", "low": 16, "high": 256, "log": True},
            "dropout": {"type": "float", "low": 0.1, "high": 0.6},
        },
        "cnn": {"depth": 1, "channels": {"type": "int", "low": 2, "high": 30, "step": 4}, "kernel": [3, 5]},
    },
    training={"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}},
)
FINITE = SearchSpace(
    name="finite",
    families={"fc": {"depth": [1, 2], "width": 8}, "cnn": {"depth": 1, "channels": [2, 4]}},
    training={"batch_size": [16, 32]},
)
N = 13  # with 11 values: more than the first ten, which most samplers draw at random; a Gaussian process takes a second


@pytest.fixture(params=SAMPLERS.table().values(), ids=lambda sampler: sampler.name)
def sampler(request) -> Sampler:
    return request.param


@pytest.fixture
def space(sampler) -> SearchSpace:
    return space_of(sampler)


def space_of(sampler: Sampler) -> SearchSpace:
    return FINITE if sampler.make is None else INFINITE


def some_answers(i: int, proposal: Proposal) -> float | None:
    """Return a number for most proposals; some have none, being infeasible or dead."""
    return None if i in (2, 6) else float(int(proposal.digest[:4], 16) % 7)


def start(sampler: Sampler, space: SearchSpace, seed: int = 0) -> Proposer:
    return Proposer(space, sampler=sampler.name, seed=seed, n_candidates=N)


def go_on(proposer: Proposer, n: int = N, answer: Answer = some_answers, first: int = 0) -> list[Proposal]:
    found = []
    for i in range(first, n):
        if (proposal := proposer.ask()) is None:
            break
        proposer.tell(proposal, answer(i, proposal))
        found.append(proposal)
    return found


def keys(proposals: list[Proposal]) -> list[tuple[str, dict[str, object], bool]]:
    return [(p.digest, dict(p.params), p.is_repeat) for p in proposals]


@cache
def whole(name: str) -> list[Proposal]:
    """Return the proposals of a sampler that was told some answers."""
    sampler = SAMPLERS.get(name)
    return go_on(start(sampler, space_of(sampler)))


@pytest.mark.usefixtures("same_global_rng")
def test_a_replay_proposes_the_same(sampler, space):
    """As a study is resumed: by another proposer, that is told again what the first one was told."""
    expected, state = keys(whole(sampler.name)), random.getstate()
    again = start(sampler, space)
    told = go_on(again, 5)
    assert keys(told) + keys(go_on(again, first=5)) == expected
    assert random.getstate() == state


def test_another_seed_proposes_others(sampler, space):
    first, other = whole(sampler.name), go_on(start(sampler, space, seed=2), 10)
    assert keys(other) != keys(first)[:10]
    if sampler.make is None:  # it gives all there are, in another order
        assert {p.digest for p in other} == {p.digest for p in first}


def test_proposals_lie_in_the_space(sampler, space):
    seen: set[str] = set()
    families: set[str] = set()
    for p in whole(sampler.name):
        expected = space.trial_distributions(p.params)
        assert set(p.params) == set(expected)
        assert all(d._contains(d.to_internal_repr(p.params[k])) for k, d in expected.items())
        assert p.architecture == space.architecture(p.params)
        assert p.training == space.training_of(p.params)
        assert p.is_repeat == (p.digest in seen)
        seen.add(p.digest)
        families.add(p.params["family"])
    assert families == {"cnn", "fc"}


@pytest.mark.parametrize("name", [name for name, s in SAMPLERS.table().items() if s.is_independent])
def test_an_independent_sampler_does_not_look_at_answers(name):
    """So that several processes may score at once: what is proposed depends on no answer, nor on when it comes."""
    sampler = SAMPLERS.get(name)
    space, expected = space_of(sampler), keys(whole(name))
    assert keys(go_on(start(sampler, space), answer=lambda i, p: -float(i))) == expected
    late = start(sampler, space)
    ahead = [p for _ in range(N) if (p := late.ask()) is not None]
    assert keys(ahead) == expected
    for p in reversed(ahead):
        late.tell(p, 1.0)


@pytest.mark.parametrize(
    "answer",
    [lambda i, p: None, lambda i, p: 1.0, lambda i, p: (-1) ** i * 1e100],
    ids=["none has a value", "all are equal", "huge"],
)
def test_whatever_is_answered_it_goes_on(sampler, space, answer):
    assert len(go_on(start(sampler, space), 11, answer)) == min(11, space.cardinality or 11)


def test_a_finite_space_is_exhausted(sampler):
    """Also by a sampler that looks for small values, and has found the smallest one."""
    proposer = start(sampler, FINITE)
    found = go_on(proposer, 200, lambda i, p: float(p.architecture.to_dict().get("channels", 0)))
    new = [p.digest for p in found if not p.is_repeat]
    assert len(new) == len(set(new)) == FINITE.cardinality == 8
    assert not found[-1].is_repeat, "a proposal was made after the last new one"
    assert proposer.ask() is None
