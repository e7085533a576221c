"""The report's section on what measures add at equal size, and its sentence on what further trainings would gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas_sens.core.figures import Objective
from nas_sens.report.equal_size import AtEqualSize, at_equal_size, equal_size_rows, equal_size_text
from nas_sens.report.outcomes import FLOPS, PARAMETERS, SENSITIVITY, SENSITIVITY_AFTER, columns
from nas_sens.report.prospects import prospects_text
from nas_sens.report.shown_figures import shown_figures
from nas_sens.statistics.alike_pairs import AmongAlike, among_alike
from nas_sens.statistics.given_several import GivenSeveral, given_several
from nas_sens.statistics.interval import Interval
from tests.report.test_report import USUAL, _render, _study, _text

LOSS, ACCURACY = Objective("val_loss"), Objective("accuracy", True)
FEW = AmongAlike(n=3, n_pairs=2, reason="too few pairs: 2 of 3 networks, at least 20 of 8 needed")


def found(tau: Interval | None, given: Interval | None = None) -> AtEqualSize:
    pairs = FEW if tau is None else AmongAlike(n=40, n_pairs=120, kendall=tau)
    several = GivenSeveral(n=9, reason="too few points") if given is None else GivenSeveral(n=40, spearman=given)
    return AtEqualSize(by_flops=pairs, by_params=FEW, given_size=several)


@pytest.fixture(scope="module")
def study():
    return _study(n=60, n_selected=40, n_control=10)


@pytest.fixture(scope="module")
def page(study):
    return _render(*study)


def section(page: str) -> str:
    return page.split('id="equal_size"')[1].split("</section>")[0]


def test_the_table_is_of_the_figure_that_is_ranked_by(study):
    data = columns(*study, USUAL.figures)
    table = at_equal_size(data, study[1], LOSS)
    y = [t.val_loss for t in sorted(study[1], key=lambda t: t.digest)]
    s, flops, params = (data.measures[name] for name in (SENSITIVITY, FLOPS, PARAMETERS))
    assert table[SENSITIVITY] == AtEqualSize(
        by_flops=among_alike(s, y, flops, within=np.log10(1.1)),
        by_params=among_alike(s, y, params, within=np.log10(1.1)),
        given_size=given_several(s, y, [flops, params]),
    )
    assert table[FLOPS].given_size == given_several(flops, y, [params])
    assert table[PARAMETERS].given_size == given_several(params, y, [flops])
    assert table[SENSITIVITY].by_flops.kendall.low > 0.5  # of which the losses were made
    turned = at_equal_size(data, study[1], Objective("val_loss", True))
    assert turned == table  # the figure's own sign


def test_without_flops_parameters_are_all_of_size(study):
    trained = [replace(t, flops=None) for t in study[1]]
    data = columns(study[0], trained, USUAL.figures)
    found = at_equal_size(data, trained, LOSS)[SENSITIVITY]
    y = [t.val_loss for t in sorted(trained, key=lambda t: t.digest)]
    assert found.by_flops.reason.startswith("too few pairs")
    assert found.given_size == given_several(data.measures[SENSITIVITY], y, [data.measures[PARAMETERS]])
    data = columns(study[0], trained, USUAL.figures, drops_empty=True)
    assert at_equal_size(data, trained, LOSS)[SENSITIVITY] == found


def test_every_measure_that_there_is_has_a_row(study, page):
    text = _text(section(page))
    for measure in columns(*study, USUAL.figures).measures:
        assert measure in text
    assert "At equal FLOPs (1 225 pairs of 50 networks), a larger S goes with a larger" in text
    assert "of the validation loss, by which networks are ranked (less of it is better)" in text
    candidates = [replace(c, measures={"naswot": 1.0 + c.log10_sensitivity}) for c in study[0]]
    trained = [replace(t, log10_sensitivity_after=None) for t in study[1]]
    table = at_equal_size(columns(candidates, trained, USUAL.figures), trained, LOSS)
    assert {"naswot", SENSITIVITY} < {*table}
    assert SENSITIVITY_AFTER not in table


def test_too_few_pairs_are_one_line(page):
    candidates, trained = _study(n=12, n_selected=6, n_control=3)
    trained = [replace(t, flops=10**6 * 2**i, params=10**4 * 2**i) for i, t in enumerate(trained)]
    few = section(_render(candidates, trained))
    assert "<table" not in few
    assert "<table" in section(page)
    line = "What S adds at equal FLOPs or parameters cannot be said (too few pairs: 0 of 0 networks, at least 20 of 8"
    assert line in _text(few)
    assert equal_size_rows({SENSITIVITY: found(None)}) == []


@pytest.mark.parametrize(
    ("table", "by", "texts"),
    [
        (
            found(Interval(-0.3, -0.5, -0.1), Interval(-0.2, -0.4, -0.1)),
            LOSS,
            ["At equal FLOPs (120 pairs of 40 networks), a larger S goes with a smaller validation loss, which is"],
        ),
        (found(Interval(-0.3, -0.5, -0.1)), ACCURACY, ["a larger S goes with a smaller accuracy, which is worse"]),
        (found(Interval(0.3, 0.1, 0.5)), ACCURACY, ["a larger S goes with a larger accuracy, which is better"]),
        (found(Interval(0.3, 0.1, 0.5)), LOSS, ["a larger validation loss, which is worse", "+0.30 [+0.10, +0.50]"]),
        (found(Interval(0.3, -0.1, 0.5)), LOSS, ["S is not shown to go with the validation loss: Kendall"]),
        (
            found(None, Interval(-0.2, -0.4, -0.1)),
            LOSS,
            [
                "cannot be said (too few pairs: 2",
                "With size held fixed, a larger S goes with a smaller",
            ],
        ),
        (found(None), LOSS, ["with size held fixed it cannot be said either (too few points)."]),
    ],
)
def test_the_sentence(table, by, texts):
    sentence = equal_size_text(table, by)
    for text in texts:
        assert text in sentence


def test_parameters_are_said_where_flops_have_too_few_pairs():
    pairs = AmongAlike(n=40, n_pairs=120, kendall=Interval(0.3, 0.1, 0.5))
    table = AtEqualSize(by_flops=FEW, by_params=pairs, given_size=GivenSeveral(n=9, reason="too few points"))
    assert equal_size_text(table, LOSS).startswith("At equal parameters (120 pairs of 40 networks), a larger S goes")


@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        ({}, "improve the best validation error by 0.12 percentage points, the next 10 by 1.5 percentage points."),
        ({"target": "val_loss"}, "improve the best validation loss by 0.0012 nats, the next 10 by 0.015 nats."),
    ],
)
def test_what_further_trainings_would_gain_is_said_as_long_as_it_is_true(select, sentence):
    shown = shown_figures({"select": select}, [])
    protocol = {"select": {**select, "prospects": {"n_trained": 12, "next_one": 0.0012, "next_ten": 0.015}}}
    said = prospects_text(protocol, 12, shown.target, "nats")
    assert said == f"By what its rule has learnt, another training is expected to {sentence}"
    protocol["select"]["prospects"] |= {"next_one": 7e-7}
    least = "7×10⁻⁷ nats" if select else "less than 0.01 percentage points"
    assert f"by {least}, the next" in prospects_text(protocol, 12, shown.target, "nats")
    assert prospects_text(protocol, 13, shown.target, "nats") is None
    assert prospects_text({"select": select}, 12, shown.target, "nats") is None
    assert prospects_text({}, 12, shown.target, "nats") is None


def test_what_nobody_declared_is_not_in_the_protocol():
    candidates, trained = _study(n=6, n_selected=3, n_control=2)
    expected = {"n_trained": 5, "next_one": 0.0012, "next_ten": 0.015}
    text = _text(_render(candidates, trained, protocol={"select": {"top_k": 40, "prospects": expected}}))
    assert "another training is expected to improve" in text
    assert "select.top_k" in text
    assert "prospects" not in text
