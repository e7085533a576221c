"""The answer of a study: the best network, and three lights that agree with the intervals beside them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_sens.core.figures import Objective
from nas_sens.report import answer
from nas_sens.report.drawing import MOST_BLOCKS, blocks
from nas_sens.report.equal_size import AtEqualSize
from nas_sens.report.lights import Trainings, agree_light, better_light, beyond_light
from nas_sens.report.reliability import Reliability, reliability
from nas_sens.report.shown_figures import shown_figures
from nas_sens.statistics.alike_pairs import AmongAlike
from nas_sens.statistics.given_several import GivenSeveral
from nas_sens.statistics.groups import difference
from nas_sens.statistics.interval import Interval
from tests.report.test_report import PROTOCOL, _Checker, _render, _study, _text

ERROR = shown_figures({}, []).primary
LOSS = Objective("val_loss")
FEW = AmongAlike(n=4, n_pairs=2, reason="too few pairs")
ERRORS = st.lists(st.integers(0, 30).map(lambda i: i / 100), min_size=0, max_size=9)


def of(n_selected=8, n_control=4, protocol=PROTOCOL, **changes):
    _, trained = _study(n_selected=n_selected, n_control=n_control, **changes)
    return Trainings(name="my study", protocol=protocol, trained=trained, by=LOSS)


@given(selected=ERRORS, control=ERRORS)
@settings(max_examples=80, deadline=None)
def test_the_first_light_is_coloured_if_and_only_if_the_interval_beside_it_excludes_zero(selected, control):
    light = better_light(of(), ERROR, difference(selected, control))
    shown = re.search(r"typically \S+ \[(\S+), (\S+)\]", light.evidence[0])
    if light.colour in ("green", "red"):
        low, high = (float(end.replace("−", "-")) for end in shown.groups())
        assert high <= 0 if light.colour == "green" else low >= 0
        assert light.command is None
    else:
        assert light.colour == "grey"  # so few networks never show that there is nothing
        assert light.command.startswith("train 'my study' ")
        assert shown is None or (float(shown[1].replace("−", "-")) <= 0 <= float(shown[2].replace("−", "-")))


def test_what_is_not_enough_says_how_many_more_would_be():
    light = better_light(of(6, 3), ERROR, difference([0.1, 0.11, 0.12, 0.13, 0.14, 0.21], [0.12, 0.2, 0.3]))
    assert (light.colour, light.command) == ("grey", "train 'my study' --top-k 21 --control 22")
    assert "So far a selected network is better than a random one in 13.5 of 18 pairs" in light.answer
    assert light.answer.endswith("34 more would tell.")
    none = better_light(of(6, 0), ERROR, difference([0.1] * 6, []))
    assert (none.colour, none.command) == ("grey", "train 'my study' --control 4")
    optuna = better_light(of(6, 3, protocol={"optuna": {}}), ERROR, difference([0.1, 0.3], [0.1, 0.2]))
    assert optuna.command is None  # whose study is trained by a program of its own


def test_many_networks_without_a_difference_are_a_sign_of_none():
    rng = np.random.default_rng(0)
    light = better_light(of(), ERROR, difference(rng.random(40), rng.random(40)))
    assert light.colour == "amber"
    assert "by which a large difference would have shown" in light.answer


@pytest.mark.parametrize(
    ("rule", "says"), [("random", "rule chose at random itself"), ("refined", "finalists of another")]
)
def test_what_is_not_asked_has_no_answer(rule, says):
    asked = of()
    trained = [replace(t, chosen_by=rule if t.group == "selected" else t.chosen_by) for t in asked.trained]
    light = better_light(replace(asked, trained=trained), ERROR, difference([0.1] * 4, [0.2] * 4))
    assert (light.colour, light.evidence, light.command) == ("grey", (), None)
    assert light.verdict == "Not asked here."
    assert says in light.answer


def beyond(interval, n):
    given_size = GivenSeveral(n=n, spearman=interval, reason=None if interval else "too few points")
    return beyond_light(of(), AtEqualSize(by_flops=FEW, by_params=FEW, given_size=given_size))


def test_the_second_light():
    light = beyond(Interval(-0.7, -0.9, -0.2), 14)
    assert (light.colour, light.command) == ("green", None)
    assert "a larger S goes with a smaller validation loss, which is better" in light.answer
    assert "a larger S goes with a larger validation loss, which is worse" in beyond(Interval(0.7, 0.2, 0.9), 14).answer
    few = beyond(Interval(-0.3, -0.7, 0.2), 12)
    assert (few.colour, few.command) == ("grey", "train 'my study' --control 25")  # 33 find a correlation of ½
    assert "21 more would tell" in few.answer
    assert ": 1 more would tell" in beyond(Interval(-0.8, -0.9, 0.1), 12).answer
    assert beyond(None, 4).answer.startswith("4 networks are few")
    assert beyond(Interval(0.1, -0.3, 0.4), 40).colour == "amber"
    assert beyond(None, 60).answer == "It cannot be told: too few points."


def test_the_third_light():
    rng = np.random.default_rng(0)
    means = rng.normal(size=12)
    sure, unsure = (reliability(means, np.full(12, sd), np.full(12, 2)) for sd in (0.05, 3.0))
    assert agree_light(of(), sure, ["more"]).colour == "green"
    assert agree_light(of(), sure, ["more"]).evidence[1] == "more"
    assert agree_light(of(), unsure).colour == "red"
    between = Reliability(n=6, value=Interval(0.6, 0.2, 0.9), swapped=0.3)
    light = agree_light(of(), between)
    assert (light.colour, light.command.split(" --")[0]) == ("grey", "train 'my study'")
    assert "30 of 100 pairs of networks would change places" in light.answer
    assert agree_light(of(), replace(between, n=80)).colour == "amber"
    one = agree_light(of(n_seeds=1), Reliability(n=0, reason="too few"))
    assert (one.colour, one.command) == ("grey", "refine 'my study' --finalists 3")
    looked_up = of(n_seeds=1, protocol={"train": {"table": "t.csv"}})
    assert agree_light(looked_up, Reliability(n=0)).command is None


def test_the_answer_is_the_same_on_the_page_and_in_the_terminal():
    candidates, trained = _study()
    found = answer("study", PROTOCOL, candidates, trained)
    text = _text(_render(candidates, trained))
    assert len(found.lights) == 3
    for light in found.lights:
        assert f"{light.question} " in text
        assert light.answer in text
        assert light.command is None or f"nas-sens {light.command}" in text
    assert " ".join(found.hero.figure.split()) in text
    assert "nas-sens export study --rank 1 -o my_network" in text
    assert found.hero.on in text
    lines = found.lines(more=" --storage 'x y'")
    assert " ".join(lines[0].split()) == "88.5 ± 0.2 % accurate · 14.8 k parameters · 1 MFLOPs — cnn-4x19"
    assert " ".join(lines[1].split()).startswith(
        "On test inputs, mean of 2 seeds; ± is one standard error, of 2 seeds;"
    )
    assert sum(line.endswith("--storage 'x y'") for line in lines) == sum(x.command is not None for x in found.lights)
    assert not answer("study", PROTOCOL, candidates, []).lines()


def test_when_and_where_it_was_trained_and_what_the_best_network_is_made_of_are_shown():
    candidates, trained = _study()
    best = min(trained, key=lambda t: t.val_loss)
    kept = {"finished": "2030-01-02 03:04 UTC", "device": "cpu", "machine": "Linux, 2 cores", "version": "1.2.3"}
    kept |= {"digest": best.digest, "outline": [["Linear", [16], 80], ["ReLU", [16], 0], ["Linear", [3], 51]]}
    protocol = {"last_run": kept, "latency_ms": {best.digest: 3.14159}, "search": {"seed": 7}}
    page = _render(candidates, trained, protocol=protocol)
    text = _text(page)
    assert (
        "2030-01-02 03:04 UTC · cpu · Linux, 2 cores · nas_sens 1.2.3 · search seed 7 · 2 training seeds each" in text
    )
    assert "Linear + ReLU 16 · 80 Linear 3 · 51" in text
    assert "3.1\u202fms" in page
    assert "outline" not in text
    other = {**protocol, "last_run": {**kept, "digest": "another"}}
    assert "Linear + ReLU" not in _text(_render(candidates, trained, protocol=other))


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["Conv 3×3", "ReLU", "BatchNorm2d", "Linear", "Identity"]),
        st.lists(st.integers(1, 4), max_size=2),
        st.integers(0, 9),
    ),
    max_size=60,
)


@given(parts=PARTS, times=st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_a_drawing_has_few_blocks_and_all_parameters(parts, times):
    drawn = blocks(parts * times)
    assert len(drawn) <= MOST_BLOCKS
    left_out = sum(n for kind, _, n in parts * times if kind == "Identity")
    assert sum(block.params * block.times for block in drawn) == sum(n for *_, n in parts * times) - left_out


def test_repeats_are_folded():
    block = [["Conv 3×3", [8, 7, 7], 10], ["BatchNorm2d", [8, 7, 7], 2], ["ReLU", [8, 7, 7], 0]]
    (one,) = blocks(block * 5)
    assert (one.times, one.kind, one.params_text) == (5, "Conv 3×3 + BN + ReLU", "60")
    unit = [*block, ["Conv 1×1", [8, 7, 7], 3]]
    drawn = blocks([["Stem", [8, 7, 7], 1], *unit * 9, ["Linear", [2], 5]])
    assert [(b.kind, b.times, b.params) for b in drawn] == [
        ("Stem", 1, 1), ("Conv 3×3 + BN + ReLU, Conv 1×1", 9, 15), ("Linear", 1, 5),
    ]  # fmt: skip


def test_a_page_of_one_training_and_of_none_say_what_to_do_next():
    candidates, trained = _study()
    one, none = _render(candidates, trained[:1]), _render(candidates, [])
    _Checker(one)
    assert "train study --top-k 4 --control 4" in _text(one)
    assert "No network yet" in _text(none)
    assert "nas-sens train study" in _text(none)
    assert 'id="lights"' not in none
