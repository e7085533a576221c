"""The table of figures and the records that hold them say the same."""

from __future__ import annotations

from dataclasses import fields

from nas_sens.core.candidates import TrainedCandidate
from nas_sens.core.figures import FIGURES, HEADLINES, OUTCOMES, RANK_BY, sd_name
from nas_sens.training import Outcome

RECORD = {f.name for f in fields(TrainedCandidate)}
NUMBERS_OF_THE_RECORD = {f.name for f in fields(TrainedCandidate) if f.type == "float | None"}
# What is said of the choice and of the work, and no figure of the network.
NO_FIGURES = {"predicted_mean", "predicted_sd", "seconds"}


def test_every_figure_has_its_place_in_the_record_and_no_number_is_without_a_row() -> None:
    names = {f.name for f in FIGURES} | {sd_name(f.name) for f in FIGURES if f.seeds == "mean_and_sd"}
    assert names == NUMBERS_OF_THE_RECORD - NO_FIGURES
    assert len({f.name for f in FIGURES}) == len({f.label for f in FIGURES}) == len(FIGURES)


def test_what_is_combined_over_seeds_is_in_the_outcome_of_one() -> None:
    outcome = {f.name for f in fields(Outcome)}
    assert {f.name for f in FIGURES if f.seeds != "derived"} <= outcome
    assert set(RANK_BY) <= RECORD


def test_test_figures_are_told_but_nothing_is_ranked_by_them() -> None:
    assert OUTCOMES == ("val_loss", "val_error", "test_loss", "test_error")
    assert {f.name for f in HEADLINES} >= set(OUTCOMES)
    assert not [name for name in RANK_BY if name.startswith("test")]
