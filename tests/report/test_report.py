"""The report as a reader meets it: what it says, that it stands alone, that hostile or little input cannot break it."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from nas_sens.core.candidates import ScoredCandidate, TrainedCandidate, describe
from nas_sens.core.compact import compact
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.figures import Objective
from nas_sens.report import render_report, write_report
from nas_sens.report.numbers_as_text import number, percent, plain, signed
from nas_sens.report.outcomes import SENSITIVITY, columns, correlation_table, group_differences
from nas_sens.report.prediction import rule_prediction, rule_text
from nas_sens.report.reliability import reliabilities
from nas_sens.report.shown_figures import shown_figures
from nas_sens.report.tables import protocol_rows, reason_groups
from nas_sens.report.text import best_text, counts_text, ranked
from nas_sens.report.verdict import group_text, relation_texts, slope_text
from nas_sens.statistics.beside import Beside, beside
from nas_sens.statistics.correlations import correlations
from nas_sens.statistics.groups import difference
from nas_sens.statistics.interval import Interval

PROTOCOL = {"search_space": {"name": "fc_vs_cnn", "limits": {"params": [20, 30]}}, "seeds": 2, "note": None}
VOID = {"meta", "link", "br", "input"}
USUAL = shown_figures({}, [])
FIGURE = {figure.label: figure for figure in USUAL.figures}


def _candidate(i: int, **changes) -> ScoredCandidate:
    rng = np.random.default_rng(i)
    family = ("fc", "cnn")[i % 2]
    fields = {
        "digest": f"d{i:05}",
        "architecture": f'{{"depth":{1 + i % 5},"family":"{family}","init":"he_normal","width":{16 + i}}}',
        "params": int(10 ** rng.uniform(4, 6)),
        "flops": 10**6 + i,
        "log10_sensitivity": float(rng.normal(3, 2)),
        "log10_relative_sensitivity": float(rng.normal(-1, 0.3)),
        "stderr": 0.07,
        "estimator": "monte_carlo",
        "number": i,
    }
    return ScoredCandidate(**{**fields, **changes})


def _train(c: ScoredCandidate, i: int, *, is_control: bool, n_epochs: int = 20, **changes) -> TrainedCandidate:
    rng = np.random.default_rng(1000 + i)
    loss = float(0.5 * 10 ** (0.1 * c.log10_sensitivity + 0.02 * rng.normal()))
    error = float(0.1 + 0.02 * rng.random())
    fields = {
        **{"digest": c.digest, "architecture": c.architecture, "params": c.params, "flops": c.flops},
        **{"candidate": c.number, "chosen_by": "control" if is_control else "calibrated", "n_seeds": 2, "number": i},
        **{"val_loss": loss, "val_error": error, "test_loss": 1.01 * loss, "test_error": error + 0.01},
        **{"val_loss_sd": 0.011, "val_error_sd": 0.002, "test_loss_sd": 0.012, "test_error_sd": 0.0031},
        "log10_sensitivity_before": c.log10_sensitivity,
        "log10_sensitivity_after": c.log10_sensitivity - 1 + 0.1 * float(rng.normal()),
        "predicted_loss": 0.9 * loss,
        "curve": tuple(float(loss + 2 * np.exp(-e / 5) + 0.05 * rng.random()) for e in range(n_epochs)),
    }
    return TrainedCandidate(**{**fields, **changes})


def _study(n: int = 40, n_selected: int = 8, n_control: int = 4, **changes):
    candidates = [_candidate(i) for i in range(n)]
    trained = [
        _train(c, i, is_control=i >= n_selected, **changes) for i, c in enumerate(candidates[: n_selected + n_control])
    ]
    return candidates, trained


def _render(candidates, trained, name="study", protocol=PROTOCOL, **changes) -> str:
    return render_report(name=name, protocol=protocol, candidates=candidates, trained=trained, **changes)


def _text(page: str) -> str:
    """What a reader sees outside pictures: tags and style sheets removed, entities resolved, white space joined."""
    body = re.sub(r"<svg.*?</svg>|<style.*?</style>|<script>.*?</script>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(scope="module")
def study():
    return _study()


@pytest.fixture(scope="module")
def page(study):
    return _render(*study)


class _Checker(HTMLParser):
    """Collects tags, ids and attributes; fails on elements that are closed in the wrong order."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag


def test_sections_come_in_the_promised_order(page):
    sections = re.findall(r'<section[^>]*id="(\w+)"', page)  # those of the protocol have a hyphen
    order = "answer lights tradeoff winners summary searched outcomes candidates training after correlations beside"
    order += " equal_size control reliability excluded reading"
    assert " ".join(sections) == order


def test_page_stands_alone(page):
    checker = _Checker(page)
    assert checker.tags["script"] - 4 == checker.tags["iframe"] == checker.tags["img"] == 0
    assert checker.tags["svg"] == 13
    without_namespaces = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", page)
    assert "http://" not in without_namespaces
    assert "https://" not in without_namespaces
    assert "@import" not in page
    for key, value in checker.attributes:
        if key in ("src", "href", "xlink:href", "data", "action"):
            assert value.startswith(("#", "data:")), (key, value)
    assert 'rel="icon" href="data:' in page


def test_ids_are_unique_and_references_resolve(page):
    ids = _Checker(page).ids
    assert [i for i, n in Counter(ids).items() if n > 1] == []
    references = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert references
    assert references <= set(ids)


def test_every_picture_is_well_formed_and_has_an_alternative_text(page):
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert len(root.get("aria-label")) > 20
        assert root.get("viewBox")
        assert root.get("width") is None  # the style sheet scales it


def test_same_input_gives_the_same_bytes_whatever_the_users_matplotlib_style(study, page):
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "svg.fonttype": "path"}):
        assert _render(*study) == page
    assert dict(matplotlib.rcParams) == before


def test_ranking_is_by_what_the_study_declares(study):
    candidates, trained = study
    trained = [replace(t, val_error=0.5 - 0.001 * t.candidate) for t in trained]
    by_error = _render(candidates, trained, protocol={**PROTOCOL, "select": {"final": "val_error"}})
    last = max(trained, key=lambda t: t.candidate)
    assert "Ranked by validation error" in by_error
    assert f"best network by validation error is {describe(last.architecture)}" in _text(by_error)
    by_sensitivity = _render(candidates, trained, protocol={**PROTOCOL, "select": {"final": "sensitivity_after"}})
    first = min(trained, key=lambda t: t.log10_sensitivity_after)
    assert f"by sensitivity after training is {describe(first.architecture)}" in _text(by_sensitivity)


def test_further_measures_have_rows_of_their_own(study):
    candidates, trained = study
    measured = [replace(c, measures={"naswot": c.log10_sensitivity, "zen": 1.0}) for c in candidates]
    table = correlation_table(columns(measured, trained, USUAL.figures))
    assert list(table)[-2:] == ["naswot", "zen"]
    assert table["naswot"]["test loss"].spearman == table[SENSITIVITY]["test loss"].spearman
    assert table["zen"]["test loss"].spearman is None
    assert "naswot" in _text(_render(measured, trained))
    after = [replace(t, measures={"jacobian_norm": t.test_loss}) for t in trained]
    table = correlation_table(columns(candidates, after, USUAL.figures))
    assert list(table)[-1] == "jacobian_norm after training"
    assert table["jacobian_norm after training"]["test loss"].spearman.estimate == pytest.approx(1.0)


def test_pruned_trainings_are_told_from_failed_ones(study):
    candidates, trained = study
    trained = sorted(trained, key=lambda t: (t.chosen_by == "control", t.number))
    pruned = [replace(t, status="pruned: after epoch 2 of 4 others had done better") for t in trained[:2]]
    text = _text(_render(candidates, [*pruned, *trained[2:]]))
    assert "So are 2 selected ones that were pruned because others did better by then" in text


def test_losses_on_one_hot_targets_are_called_so(study):
    candidates, trained = study
    text = _text(_render(candidates, trained, protocol={**PROTOCOL, "train": {"loss": "mse"}}))
    assert "mean squared distances of the outputs to one-hot targets" in text
    assert "nats" not in text


def test_winners_are_ranked_by_validation_loss_with_their_numbers(study, page):
    _, trained = study
    best = ranked(trained, Objective("val_loss"))[0]
    assert best.val_loss == min(t.val_loss for t in trained)
    rows = re.findall(r"<tr[^>]*>\s*<td.*?</tr>", page.split('id="winners"')[1].split("</section>")[0], flags=re.DOTALL)
    assert len(rows) == 12
    first = _text(rows[0])
    width, params = int(best.digest[1:]) + 16, f"{best.params:,}".replace(",", " ")
    assert f"x{width} " in first
    assert f"{best.val_loss:.4g} ± 0.011" in first
    assert f"{best.test_loss:.4g} ± 0.012" in first
    assert f"{100 * best.test_error:.2f} ± 0.31 %" in first
    assert f"{plain(best.log10_sensitivity_before)} ± 0.07" in first
    assert params in first


def test_correlations_in_the_page_are_scipys(study, page):
    _, trained = study
    log_s = [t.log10_sensitivity_before for t in trained]
    for values in (np.log10([t.test_loss for t in trained]), [t.test_error for t in trained]):
        c = correlations(log_s, values)
        assert (
            f"Spearman {signed(c.spearman.estimate)} [{signed(c.spearman.low)}, {signed(c.spearman.high)}], n = 12"
            in page
        )
        for interval in (c.pearson, c.spearman, c.kendall):
            assert f"{signed(interval.estimate)} [{signed(interval.low)}, {signed(interval.high)}]" in _text(page)
    assert "larger S went with larger test loss" in _text(page)


def test_reading_help_warns_that_the_sign_is_a_hypothesis(page):
    text = _text(page)
    assert "Smaller S is not always better" in text
    assert "hypothesis" in text
    assert "test figures are used only on this page" in text


def test_hostile_texts_are_escaped():
    evil = '<script>alert("x")</script>'
    candidates, trained = _study()
    candidates[20] = _candidate(20, architecture='{"family":"<script>f</script>","width":3}')
    candidates[21] = _candidate(21, status=evil, log10_sensitivity=None)
    trained[0] = replace(trained[0], chosen_by=evil, reason=evil)
    trained[1] = replace(trained[1], status=evil)
    page = _render(candidates, trained, name=evil, protocol={evil: {evil: evil}})
    assert page.lower().count("<script") == _Checker(page).tags["script"] == 4  # our own
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in page
    assert "&lt;script&gt;f&lt;/script&gt;" in page  # the family in the legend of the picture


def test_ten_thousand_candidates_and_long_curves_stay_small():
    candidates = [_candidate(i) for i in range(10_000)]
    trained = [_train(c, i, is_control=i % 3 == 0, n_epochs=2000) for i, c in enumerate(candidates[:60])]
    page = _render(candidates, trained)
    assert len(page.encode()) < 3_000_000
    assert "the best 20 of 60" in _text(page)
    for section in ("candidates", "training"):
        assert "<image" in page.split(f'id="{section}"')[1].split("</section>")[0]


def test_a_hundred_thousand_candidates_take_seconds_and_stay_small():
    few = [_candidate(i) for i in range(60)]
    candidates = few + [
        replace(few[i % 60], digest=f"e{i:05}", params=few[i % 60].params + i, log10_sensitivity=i % 997 / 99)
        for i in range(99_940)
    ]
    trained = [_train(c, i, is_control=i % 3 == 0) for i, c in enumerate(candidates[:60])]
    start = time.process_time()
    page = _render(candidates, trained)
    assert time.process_time() - start < 5.0 * 2  # twice the target: shared machines are slow at times
    assert len(page.encode()) < 3_000_000


def test_few_candidates_are_vector_graphics(page):
    assert "<image" not in page


@pytest.mark.parametrize("n", [0, 30])
def test_nothing_trained_still_renders_and_says_so(n):
    page = _render([_candidate(i) for i in range(n)], [])
    text = _text(page)
    _Checker(page)
    assert "None has been trained yet" in text
    assert "No trained candidate has both test loss and log₁₀ S before training." in text
    assert "too few points: 0, at least 5 needed" in text
    assert ("No candidate has a score." in text) is (n == 0)
    assert page.count("<svg") == (n > 0)


def test_an_empty_study_says_so():
    assert "No candidates have been scored yet." in _text(_render([], [], protocol={}))
    assert "No protocol was recorded." in _text(_render([], [], protocol={}))


def test_failed_trainings_only():
    candidates, trained = _study()
    failed = [
        TrainedCandidate(
            digest=t.digest,
            architecture=t.architecture,
            params=t.params,
            flops=t.flops,
            candidate=0,
            chosen_by=t.chosen_by,
            status="training loss became NaN in epoch 3",
        )
        for t in trained
    ]
    text = _text(_render(candidates, failed))
    assert "12 of these trainings failed" in text
    assert "12 training failed training loss became NaN in epoch 3" in text


def test_unusable_losses_do_not_break_the_page():
    candidates, trained = _study()
    for i, bad in enumerate((float("nan"), float("inf"), 0.0, None)):
        curve = (1.0, float("nan"), 0.0)
        trained[i] = replace(trained[i], val_loss=bad, test_loss=bad, curve=curve, predicted_loss=bad)
    _Checker(_render(candidates, trained))


@pytest.mark.parametrize("n_trained", [1, 2, 5])
def test_very_few_trained_networks(n_trained):
    candidates, trained = _study()
    page = _render(candidates, trained[:n_trained])
    assert page.count("<svg") == (13 if n_trained > 1 else 12)
    assert f"{n_trained} selected and 0 random networks are few" in _text(page)
    assert ("too few points: 2, at least 5 needed" in page) is (n_trained == 2)


def test_losses_over_many_orders_of_magnitude():
    candidates, trained = _study()
    trained = [replace(t, test_loss=10.0 ** (i - 4), val_loss=10.0 ** (i - 4)) for i, t in enumerate(trained)]
    page = _render(candidates, trained)
    _Checker(page)
    assert "10⁴" in page or "10⁵" in page or "10⁶" in page


def test_counts_of_candidates():
    candidates = [_candidate(i) for i in range(10)]
    candidates[0] = _candidate(0, feasible=False, status="too large", log10_sensitivity=None)
    candidates[1] = _candidate(1, status="dead: S = 0", log10_sensitivity=None)
    candidates[2] = _candidate(2, status="dead: S = 0", log10_sensitivity=None)
    text = counts_text(candidates, [_train(candidates[i], i, is_control=i == 5) for i in range(3, 6)])
    assert "10 unique candidates were drawn: 7 were scored, 1 were infeasible and 2 failed." in text
    assert "3 were trained: 2 selected by the rule calibrated and 1 drawn at random as the control group." in text


def test_best_text_names_the_other_network_when_loss_and_error_disagree():
    _, trained = _study()
    trained = [replace(t, val_error=0.2) for t in trained]
    loser = max(range(12), key=lambda i: trained[i].val_loss)
    assert "By validation error" not in best_text(trained, Objective("val_loss"), USUAL)
    trained[loser] = replace(trained[loser], val_error=0.01)
    assert f"By validation error it is another one, fc depth={1 + loser % 5} width={16 + loser}".replace(
        "fc", ("fc", "cnn")[loser % 2]
    ) in best_text(trained, Objective("val_loss"), USUAL)
    assert best_text([], Objective("val_loss"), USUAL) is None


SHOWN = Beside(n=12, slope=Interval(-0.4, -0.7, -0.1))
NOT_SHOWN = Beside(n=12, slope=Interval(-0.4, -0.7, 0.1))
UNKNOWN = Beside(n=3, reason="too few points: 3, at least 8 needed")
EVIDENCE = [
    ([0.10, 0.11, 0.12, 0.10], [0.20, 0.21, 0.22, 0.20], "better than"),
    ([0.20, 0.21, 0.22, 0.20], [0.10, 0.11, 0.12, 0.10], "worse than"),
    ([0.10, 0.21, 0.12, 0.20], [0.20, 0.11, 0.22, 0.10], "not shown to differ"),
    ([0.10, 0.11, 0.12], [0.20, 0.21, 0.22], "too few networks to say"),
    ([0.10], [0.20, 0.21], "too few networks to say"),
    ([0.10, 0.11, 0.12, 0.10], [], "too few networks to say"),
]


@pytest.mark.parametrize(("selected", "control", "comparison"), EVIDENCE)
@pytest.mark.parametrize("outcome", ["test error", "test loss"])
def test_the_comparison_changes_with_the_evidence(selected, control, comparison, outcome):
    group = group_text(FIGURE[outcome], difference(selected, control))
    assert comparison in group
    assert sum(e[2] in group for e in EVIDENCE[:4]) == 1


def test_the_target_of_the_study_decides_the_verdict(page):
    assert USUAL.primary == shown_figures({"select": {"target": "val_error"}}, []).primary == FIGURE["test error"]
    assert "rests on one comparison fixed beforehand, the test error" in _text(page)
    candidates, trained = _study(n_selected=6, n_control=6)
    trained = [replace(t, test_loss=(2 if i < 6 else 1) + i / 100, test_error=0.1) for i, t in enumerate(trained)]
    text = _text(_render(candidates, trained, protocol={"select": {"target": "val_loss"}}))
    assert "It is worse: A selected network is better than a random one in 0 of 36 pairs" in text
    assert "rests on one comparison fixed beforehand, the test loss" in text


def test_the_comparison_states_the_size_of_the_effect():
    d = difference(*EVIDENCE[0][:2])
    assert "of a selected one minus that of a random one is typically −10.00 [" in group_text(FIGURE["test error"], d)
    assert "best of 4 minus best of 4 is −10.00 percentage points (p = 0.029)" in group_text(FIGURE["test error"], d)
    assert f"of a selected one over that of a random one is typically {10**-0.1:.3g} [" in group_text(
        FIGURE["test loss"], d
    )


def test_the_slope_in_words():
    assert slope_text("test error", SHOWN) == (
        "Beside parameters, larger S went with smaller test error: slope −0.40 [−0.70, −0.10] sd per sd."
    )
    larger = Beside(n=12, slope=Interval(0.4, 0.1, 0.7))
    assert "larger S went with larger test error" in slope_text("test error", larger)
    assert "no relation is shown" in slope_text("test error", NOT_SHOWN)
    assert "cannot be said (too few points" in slope_text("test error", UNKNOWN)
    few = correlations([1.0], [1.0])
    assert relation_texts({"a": few, "b": few}, {"a": UNKNOWN, "b": UNKNOWN}) == [f"Cannot be said: {few.reason}."]


def test_partial_correlations_in_the_page_are_those_of_the_measures(study, page):
    candidates, trained = study
    relative = {c.digest: c.log10_relative_sensitivity for c in candidates}
    in_order = sorted(trained, key=lambda t: t.digest)
    log_params = np.log10([t.params for t in in_order])
    errors = [t.test_error for t in in_order]
    table = _text(page.split('id="beside"')[1].split("</section>")[0])
    for x in ([t.log10_sensitivity_before for t in in_order], [relative[t.digest] for t in in_order]):
        found = beside(x, errors, log_params)
        for interval in (found.pearson, found.spearman, found.slope):
            assert f"{signed(interval.estimate)} [{signed(interval.low)}, {signed(interval.high)}]" in table


def test_every_measure_meets_every_outcome(study):
    data = columns(*study, USUAL.figures)
    table = correlation_table(data)
    assert len(table) == 6
    for measure in table:
        for outcome in table[measure]:
            assert table[measure][outcome] == correlations(data.measures[measure], data.outcomes[outcome])
    np.testing.assert_allclose(
        data.outcomes["test loss"], np.log10([t.test_loss for t in sorted(study[1], key=lambda t: t.digest)])
    )


def test_the_reader_is_told_how_many_intervals_there_are(study, page):
    section = page.split('id="correlations"')[1].split('id="reliability"')[0]
    tables = "".join(re.findall(r"<table.*?</table>", section, flags=re.DOTALL))
    cells = re.findall(r"[+−]?\d\.\d\d\d? \[[+−]?\d+\.\d\d\d?, [+−]?\d+\.\d\d\d?\]", tables)
    n = len(cells)
    assert n == 6 * 4 * 3 + 5 * 4 * 3 + 6 * 2 + 4
    n_bold = section.count("<strong>")
    n_bold += sum(
        d.interval.excludes_zero for d in group_differences(columns(*study, USUAL.figures), USUAL.figures).values()
    )
    assert f"In all, {n} intervals" in _text(page)
    assert f"{n_bold} exclude zero; some 5 %, about {round(0.05 * n)}," in _text(page)


@pytest.mark.parametrize(
    ("target", "unit", "offset"), [("val_error", "percentage points", "−0.35"), ("val_loss", "nats", "−0.003")]
)
def test_what_the_rule_expected_is_shown_where_there_is_something(study, page, target, unit, offset):
    assert 'id="expected"' not in page
    candidates, trained = study
    trained = [
        replace(t, predicted_mean=getattr(t, target) + 0.001 * i, predicted_sd=0.004) if i < 8 else t
        for i, t in enumerate(trained)
    ]
    shown = _render(candidates, trained, protocol={"select": {"target": target}})
    text = _text(shown.split('id="expected"')[1].split("</section>")[0])
    assert "100 % [63, 100] of 8 networks came out inside the rule’s own 95 % interval, which agrees with that." in text
    assert f"Observed minus expected validation {target[4:]} was {offset} [" in text
    assert f"] {unit} in the mean of 8 networks" in text
    assert shown.count("<svg") == 14
    _Checker(shown)


def test_a_rule_that_was_too_sure_of_itself_is_told_so(study):
    trained = [replace(t, predicted_mean=t.val_error - 0.1, predicted_sd=0.004) for t in study[1][:8]]
    text = rule_text(rule_prediction(trained, FIGURE["validation error"]), FIGURE["validation error"], "nats")
    assert text.startswith("0 % [0, 37] of 8 networks")
    assert "the rule was too sure of itself" in text
    vague = [replace(t, predicted_mean=t.val_error, predicted_sd=9.0) for t in _study(100, 90)[1]]
    assert "less sure than it could be" in rule_text(
        rule_prediction(vague, FIGURE["validation error"]), FIGURE["validation error"], "nats"
    )
    assert rule_prediction(study[1], FIGURE["validation error"]) is None


def test_predicted_loss_against_observed_in_words(page):
    # 0.9 · val_loss predicted, 1.01 · val_loss observed: their ratio is constant
    assert "The observed test loss was 1.12 times [1.12, 1.12] what eq. 9 predicts" in _text(page)


def test_reliability_in_the_page_is_the_formula(study, page):
    _, trained = study
    errors = np.array([t.test_error for t in trained])
    r = 1 - (0.0031**2 / 2) / errors.var(ddof=1)
    log_losses = np.log10([t.test_loss for t in trained])
    sds = np.array([0.012 / t.test_loss / np.log(10) for t in trained])
    r_loss = 1 - np.mean(sds**2 / 2) / log_losses.var(ddof=1)
    scores = np.array([c.log10_sensitivity for c in study[0]])
    r_score = 1 - 0.07**2 / scores.var(ddof=1)
    table = _text(page.split('id="reliability"')[1].split("</section>")[0])
    assert f"test error 12 {signed(r)} [" in table
    assert f"{100 * np.arccos(r) / np.pi:.1f} % ({66 * np.arccos(r) / np.pi:.0f} of 66) {np.sqrt(r):.2f}" in table
    assert f"log₁₀ test loss 12 {signed(r_loss)} [" in table
    assert f"log₁₀ S before training 40 {signed(r_score)} [" in table


def test_reliability_takes_spreads_to_the_scale_on_which_values_are_compared(study):
    candidates = [replace(c, stderr=1.5) for c in study[0]]
    trained = [replace(t, test_loss_sd=0.4 * t.test_loss, n_seeds=4) for t in study[1]]
    found = reliabilities(candidates, trained, USUAL.figures)
    log_losses = np.log10([t.test_loss for t in trained])
    noise = (0.4 / np.log(10)) ** 2 / 4
    assert found["log₁₀ test loss"].value.estimate == pytest.approx(1 - noise / log_losses.var(ddof=1))
    scores = np.array([c.log10_sensitivity for c in candidates])
    assert found["log₁₀ S before training"].value.estimate == pytest.approx(1 - 1.5**2 / scores.var(ddof=1))
    assert (
        reliabilities([replace(c, stderr=None) for c in candidates], [], USUAL.figures)["log₁₀ S before training"].value
        is None
    )


def test_the_order_of_candidates_does_not_matter(study, page):
    candidates, trained = study
    assert _render(candidates[::-1], [*trained[5:], *trained[:5]]) == page
    data, turned = columns(candidates, trained, USUAL.figures), columns(candidates[::-1], trained[::-1], USUAL.figures)
    assert correlation_table(data) == correlation_table(turned)


def test_group_differences_leave_failures_out_and_compare_losses_as_log10():
    _, trained = _study()
    trained = [replace(t, test_loss=0.1 if t.chosen_by == "control" else 1.0) for t in trained]
    trained[0] = replace(trained[0], status="failed", test_loss=1e9)
    d = group_differences(columns([], trained, USUAL.figures), USUAL.figures)["test loss"]
    assert (d.n_a, d.n_b) == (7, 4)
    assert d.interval.estimate == pytest.approx(1.0)


def test_reasons_that_differ_in_numbers_only_are_one_group():
    candidates = [
        _candidate(i, feasible=False, status=f"{12_000 + i:,} parameters, at most 10,000 allowed") for i in range(30)
    ]
    candidates += [_candidate(40, status="dead: S = 0"), _candidate(41)]
    groups = reason_groups(candidates, [])
    assert [(g.kind, g.reason, g.n) for g in groups] == [
        ("infeasible", "… parameters, at most … allowed", 30),
        ("failed", "dead: S = 0", 1),
    ]
    assert groups[0].example.startswith("fc depth=1")


def test_protocol_is_flattened_in_its_own_order():
    assert protocol_rows({**PROTOCOL, "flag": True, "rows": [{"a": 1}], "empty": {}, "rate": 0.001}) == [
        ("search_space.name", "fc_vs_cnn"),
        ("search_space.limits.params", "20, 30"),
        ("seeds", "2"),
        ("note", "–"),
        ("flag", "true"),
        ("rows", '[{"a": 1}]'),
        ("empty", "–"),
        ("rate", "0.001"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.45123), "0.4512"),
        (number(35511.2), "35511"),
        (number(3.5512e6), "3.551×10⁶"),
        (number(1e-7), "10⁻⁷"),
        (number(-2.5e-7), "−2.5×10⁻⁷"),
        (number(0.0), "0"),
        (number(None), "–"),
        (number(float("nan")), "–"),
        (compact(950), "950"),
        (compact(11814), "11.8k"),
        (compact(999_700), "1M"),
        (compact(2.5e9), "2.5G"),
        (signed(-0.204), "−0.20"),
        (signed(0.6), "+0.60"),
        (signed(-0.0001), "0.00"),
        (plain(-1.239), "−1.24"),
        (percent(0.1234), "12.34\N{NO-BREAK SPACE}%"),
        (percent(0.1234, 0.004), "12.34 ± 0.40\N{NO-BREAK SPACE}%"),
        (percent(None, 0.1), "–"),
    ],
)
def test_numbers_are_written_for_people(text, expected):
    assert text == expected


def test_write_report_replaces_the_file_and_leaves_nothing_else(tmp_path, study, page):
    target = tmp_path / "new" / "report.html"
    for _ in range(2):
        assert write_report(target, name="study", protocol=PROTOCOL, candidates=study[0], trained=study[1]) == target
    assert target.read_text(encoding="utf-8") == page
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_failed_write_keeps_the_old_report(tmp_path, monkeypatch):
    target = write_report(tmp_path / "report.html", name="n", protocol={}, candidates=[], trained=[])
    old = target.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(InvalidInputError, match="Permission denied"):
        write_report(target, name="n", protocol={}, candidates=[], trained=[])
    assert target.read_bytes() == old
    assert list(tmp_path.iterdir()) == [target]


def test_an_unwritable_path_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="give another path"):
        write_report(tmp_path / "file" / "report.html", name="n", protocol={}, candidates=[], trained=[])
    with pytest.raises(InvalidInputError, match="give another path"):
        write_report(tmp_path, name="n", protocol={}, candidates=[], trained=[])
