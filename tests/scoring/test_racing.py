"""Racing finds the selection that many networks for every candidate find, with fewer of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

import nas_sens as ns
from nas_sens.scoring.racing import race, undecided
from nas_sens.scoring.score import Score, summarize
from tests.tiny_study import tiny, url


def lowest(n: int):
    return lambda values: set(sorted(values, key=lambda d: values[d])[:n])


class Networks:
    """Candidates whose networks are log-normal draws around a true mean, the same however they are asked for."""

    def __init__(self, means: Mapping[str, float], sd: float) -> None:
        self.means, self.sd, self.drawn = means, sd, 0

    def score(self, digest: str, n: int, earlier: Score | None = None) -> Score:
        rng = np.random.default_rng(list(digest.encode()))
        values = 10.0 ** (self.means[digest] + self.sd * rng.standard_normal(n))
        self.drawn += n - (earlier.n_seeds or 0 if earlier else 0)
        return summarize([(v, 1.0, 1.0) for v in values])


def test_a_race_spends_networks_near_the_cut_and_chooses_as_all_of_them_would():
    means = {f"c{i:03d}": 0.05 * i for i in range(100)}
    networks = Networks(means, sd=0.3)
    first = {d: networks.score(d, 4) for d in means}
    result = race(first, lowest(20), lambda d, s, n: networks.score(d, n, s), max_seeds=128, seed=0)
    assert result.n_drawn == networks.drawn < 128 * 100 / 2
    assert result.n_saved == 128 * 100 - networks.drawn
    n = {d: s.n_seeds for d, s in result.scores.items()}
    assert max(n.values()) == 128
    assert np.mean([n[f"c{i:03d}"] for i in (17, 18, 19, 20, 21, 22)]) > 4 * np.mean(
        [n[f"c{i:03d}"] for i in (0, 1, 98, 99)]
    )
    everything = {d: Networks(means, 0.3).score(d, 128) for d in means}
    chosen, reference = (
        lowest(20)({d: s.log10_sensitivity for d, s in scores.items()}) for scores in (result.scores, everything)
    )
    assert chosen == reference
    assert len(lowest(20)({d: s.log10_sensitivity for d, s in first.items()}) - reference) >= 1, "or the race is idle"


def test_the_order_of_candidates_does_not_matter():
    means = {f"c{i:02d}": 0.1 * i for i in range(20)}
    results = []
    for order in (sorted(means), sorted(means, reverse=True)):
        networks = Networks(means, 0.3)
        first = {d: networks.score(d, 4) for d in order}
        results.append(race(first, lowest(5), lambda d, s, n, m=networks: m.score(d, n), max_seeds=32, seed=1))
    assert results[0] == results[1]


def test_exact_scores_are_never_undecided():
    exact = {d: Score(float(i), None, "closed_form") for i, d in enumerate("abcdef")}
    assert undecided(exact, lowest(3), seed=0) == set()
    close = exact | {"x": Score(2.5, 5.0, "monte_carlo", n_seeds=4)}
    assert undecided(close, lowest(3), seed=0) == {"x"}
    dead = Score(None, None, "monte_carlo", "dead: S = 0", n_seeds=4)
    result = race(
        close | {"z": dead}, lowest(3), lambda d, s, n: Score(9.0, 1e-9, "monte_carlo", n_seeds=n), max_seeds=8, seed=0
    )
    assert result.scores["z"] is dead
    assert result.scores["x"].n_seeds == 8
    assert result.n_saved == 0


def test_a_study_that_races_resumes_to_the_same_scores(tmp_path):
    spec = tiny(
        score=ns.ScoreSpec(estimator="monte_carlo", n_inputs=16, seeds=2, max_seeds=16, racing=True),
        search=ns.SearchSpec(n_candidates=12, sampler="random"),
        select=ns.SelectSpec(rule="lowest", top_k=3, control=1),
        train=ns.TrainSpec(epochs=1, seeds=1),
    )
    result = ns.search(spec, storage=url(tmp_path, "a"))
    seeds = {c.n_seeds for c in result.candidates if c.is_ok}
    assert min(seeds) == 2
    assert max(seeds) > 2
    again = ns.search(spec, storage=url(tmp_path, "a"))
    assert again.candidates == result.candidates
    assert [c.log10_sensitivity for c in ns.search(spec, storage=url(tmp_path, "b")).candidates] == [
        c.log10_sensitivity for c in result.candidates
    ]
    with pytest.raises(ns.InvalidInputError, match="racing = true in \\[score\\] needs a sampler"):
        ns.search(tiny(score=spec.score, select=ns.SelectSpec(rule="random")), storage=url(tmp_path, "c"))
    with pytest.raises(ValueError, match="needs seeds from 2"):
        ns.ScoreSpec(racing=True, seeds=1)
    assert math.isfinite(result.candidates[0].log10_relative_sensitivity or 0.0)
