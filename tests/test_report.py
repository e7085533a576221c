"""The report as a reader meets it: what it says, that it stands alone, that hostile or little input cannot break it."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from nas_sens.errors import InvalidInputError
from nas_sens.records import ScoredCandidate, TrainedCandidate
from nas_sens.report import render_report, write_report
from nas_sens.report_tables import protocol_rows, reason_groups
from nas_sens.report_text import (
    best_text,
    compact,
    counts_text,
    group_differences,
    number,
    percent,
    plain,
    ranked,
    signed,
    verdict_text,
)
from nas_sens.statistics import correlations, difference

PROTOCOL = {"search_space": {"name": "fc_vs_cnn", "limits": {"params": [20, 30]}}, "seeds": 2, "note": None}
VOID = {"meta", "link", "br"}


def _candidate(i: int, **changes) -> ScoredCandidate:
    rng = np.random.default_rng(i)
    family = ("fc", "cnn")[i % 2]
    fields = {
        "digest": f"d{i:05}",
        "architecture": f'{{"depth":{1 + i % 5},"family":"{family}","init":"he_normal","width":{16 + i}}}',
        "params": int(10 ** rng.uniform(4, 6)),
        "flops": 10**6 + i,
        "log10_sensitivity": float(rng.normal(3, 2)),
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
        **{"source_trial": c.number, "chosen_by": "control" if is_control else "calibrated", "n_seeds": 2, "number": i},
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
    body = re.sub(r"<svg.*?</svg>|<style.*?</style>", " ", page, flags=re.DOTALL)
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
    sections = re.findall(r'<section[^>]*id="(\w+)"', page)
    order = "summary winners outcomes candidates training after correlations control excluded protocol reading"
    assert " ".join(sections) == order


def test_page_stands_alone(page):
    checker = _Checker(page)
    assert checker.tags["script"] == checker.tags["iframe"] == checker.tags["img"] == 0
    assert checker.tags["svg"] == 8
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


def test_winners_are_ranked_by_validation_loss_with_their_numbers(study, page):
    _, trained = study
    best = ranked(trained)[0]
    assert best.val_loss == min(t.val_loss for t in trained)
    rows = re.findall(r"<tr>\s*<td.*?</tr>", page.split('id="winners"')[1].split("</section>")[0], flags=re.DOTALL)
    assert len(rows) == 12
    first = _text(rows[0])
    width, params = int(best.digest[1:]) + 16, f"{best.params:,}".replace(",", " ")
    assert f"width={width} init=he_normal" in first
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
    page = _render(candidates, trained, name=evil, protocol={evil: {evil: evil}}, extra_notes=[evil])
    assert "<script" not in page.lower()
    assert _Checker(page).tags["script"] == 0
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
            source_trial=0,
            chosen_by=t.chosen_by,
            status="training loss became NaN in epoch 3",
        )
        for t in trained
    ]
    text = _text(_render(candidates, failed))
    assert "12 of these trainings failed" in text
    assert "12 training failed training loss became NaN in epoch 3" in text


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, None])
def test_unusable_losses_do_not_break_the_page(bad):
    candidates, trained = _study()
    trained[2] = replace(trained[2], val_loss=bad, test_loss=bad, curve=(1.0, float("nan"), 0.0), predicted_loss=bad)
    _Checker(_render(candidates, trained))


@pytest.mark.parametrize("n_trained", [1, 2, 5])
def test_very_few_trained_networks(n_trained):
    candidates, trained = _study()
    page = _render(candidates, trained[:n_trained])
    assert page.count("<svg") == 8
    assert "too few points to say whether selection made a difference" in _text(page)
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
    assert "By validation error" not in best_text(trained)
    trained[loser] = replace(trained[loser], val_error=0.01)
    assert f"By validation error it is another one, fc depth={1 + loser % 5} width={16 + loser}".replace(
        "fc", ("fc", "cnn")[loser % 2]
    ) in best_text(trained)
    assert best_text([]) is None


@pytest.mark.parametrize(
    ("selected", "control", "expected"),
    [
        ([0.10, 0.11, 0.12, 0.10], [0.20, 0.21, 0.22, 0.20], "selection helped"),
        ([0.20, 0.21, 0.22, 0.20], [0.10, 0.11, 0.12, 0.10], "selection hurt"),
        ([0.10, 0.21, 0.12, 0.20], [0.20, 0.11, 0.22, 0.10], "did nothing that this study can show"),
        ([0.10, 0.11], [0.20, 0.21], "too few points to say"),
        ([0.10], [0.20, 0.21], "too few points to say"),
    ],
)
@pytest.mark.parametrize("outcome", ["test error", "test loss"])
def test_verdict_claims_only_what_the_interval_supports(selected, control, expected, outcome):
    text = verdict_text(outcome, difference(selected, control))
    verdicts = ("selection helped (", "selection hurt (", "did nothing", "too few points to say")
    assert expected in text
    assert sum(v in text for v in verdicts) == 1


def test_verdict_states_the_size_of_the_effect():
    d = difference([0.10, 0.11, 0.12, 0.10], [0.20, 0.21, 0.22, 0.20])
    assert "−10.00 [" in verdict_text("test error", d)
    assert f"{10**-0.1:.3g} times" in verdict_text("test loss", d)


def test_group_differences_leave_failures_out_and_compare_losses_as_log10():
    _, trained = _study()
    trained = [replace(t, test_loss=0.1 if t.chosen_by == "control" else 1.0) for t in trained]
    trained[0] = replace(trained[0], status="failed", test_loss=1e9)
    d = group_differences(trained)["test loss"]
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
    target = tmp_path / "report.html"
    target.write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(InvalidInputError, match="Permission denied"):
        write_report(target, name="n", protocol={}, candidates=[], trained=[])
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_unwritable_path_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="give another path"):
        write_report(tmp_path / "file" / "report.html", name="n", protocol={}, candidates=[], trained=[])
    with pytest.raises(InvalidInputError, match="give another path"):
        write_report(tmp_path, name="n", protocol={}, candidates=[], trained=[])
