"""Numbers of the README are those of ``benchmarks/results``: GitHub has no macros, so sentences are compared."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from jinja2 import Environment, StrictUndefined

from tests.docs.blocks import FENCE, ROOT

sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import measured

README = (ROOT / "README.md").read_text(encoding="utf-8")
SENTENCES = {  # what stands in the README, with the macros that pages of the site have
    "cost of many": (
        '{{ "{:,}".format(measured("large_search", "n_candidates")) }} fully-connected candidates were scored and '
        'stored in {{ measured("large_search", "steps", "score large.toml --format csv", "now", "seconds") | fixed(0) '
        "}} s on two cores"
    ),
    "closed form": (
        'In closed form a score takes {{ measured("scoring_cost", "closed_form_in_a_batch_ms_per_candidate", '
        '"FC 4×300") | sig }} ms in a batch of fully-connected networks (4 × 300), a Jacobian '
        '{{ measured("scoring_cost", "milliseconds_per_candidate", "FC 4×300", '
        '"softmax Jacobian, 10 backward passes") | sig }} ms'
    ),
    "against random": (
        'After 10 trainings, on {{ measured("search_quality", "tables") | length }} tables of known outcomes, it is '
        '{{ ahead("random", 10) }} against random choice'
    ),
    "an hour": (
        'A network found on CIFAR-10 in {{ measured("cifar10_hour", "minutes") | fixed(0) }} minutes of two cores has '
        'a test error of {{ error_of("searched, rank 1") }} by the training that brings ResNet-20, of no fewer FLOPs, '
        'to {{ error_of("ResNet-20") }}'
    ),
}
# Numbers that no benchmark measures: of versions, names, licences, files, and of how the search was developed.
OTHERS = r"Python 3\.10|5,000 digits|Apache-2\.0|8 bits|two cores|CIFAR-10|ResNet-20|13 of them|ICPR 2020"


def environment() -> Environment:
    found = Environment(undefined=StrictUndefined)
    found.globals |= {f.__name__: f for f in measured.MACROS}
    found.filters |= {f.__name__: f for f in measured.FILTERS}
    return found


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_has_the_measured_numbers(name: str) -> None:
    said = environment().from_string(SENTENCES[name]).render()
    assert re.search(r"\d", said)
    assert said in " ".join(README.split())


def test_the_readme_has_no_number_that_is_not_measured() -> None:
    text = " ".join(re.sub(r"\]\([^)]*\)", "]", FENCE.sub("", README)).split())
    for sentence in SENTENCES.values():
        text = text.replace(environment().from_string(sentence).render(), "")
    assert re.findall(r".{0,30}\d.{0,30}", re.sub(OTHERS, "", text)) == []


# What "How good is it" says of how was measured, or explains: sizes of inputs and networks, budgets, names.
SET_UP = [
    "10,000",
    "10",
    "20",
    "40",
    "128",
    "3",
    "32",
    "2",
    "95",
    "16",
    "64",
    "1,000",
    "4",
    "13",
    "1/16",
    "1/4",
    "5",
    "0",
    "8",
    "30",
    "32",
    "201",
    "101",
    "18",
    "34",
    "1",
    "25",
    "120",
    "38,000",
    "60,000",
]


def test_the_page_of_benchmarks_has_no_number_of_its_own() -> None:
    page = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    text = re.sub(r"\{\{.*?\}\}|`[^`]*`|\]\([^)]*\)|[A-Z][A-Za-z-]*-?\d+", "", page, flags=re.DOTALL)
    found = re.findall(r"(?<![\w.])\d[\d,.]*(?:/\d+)?", text)
    assert {n.rstrip(".,") for n in found} <= set(SET_UP)
    assert page.count("{{") > 40


GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))


@pytest.mark.parametrize("path", GUIDES, ids=[path.stem for path in GUIDES])
def test_a_guide_has_what_a_benchmark_measured_by_a_macro(path: Path) -> None:
    """Where it names a benchmark there is a macro, and all of them have numbers."""
    page = path.read_text(encoding="utf-8")
    parts = re.split(r"\n\n|\n\d\. |\n\|", FENCE.sub("", page))
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        if "benchmarks/" in part:  # or it says how the next paragraph's table was measured
            assert "{{" in part + after, f"{path.name}: its numbers must be macros: {part[:200]}"
    if "{{" in page:
        assert page.startswith("---\nrender_macros: true\n---\n")
        shown = environment().from_string(page).render()
        assert "{{" not in shown
        assert not re.search(r"\b(?:nan|None)\b ?(?:s|ms|%|GB|times)", shown)


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len(README.splitlines()) <= 120
    typed = [line.split("#")[0].strip() for match in FENCE.finditer(README) for line in match["text"].splitlines()]
    assert typed[:2] == ["make search", "make test"]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.0135, 2, "0.013"), (215570.3, 2, "215,570"), (47.2, 2, "47"), (1, 2, "1.0"), (-0.5, 2, "−0.50"),
     (9.96, 2, "10"), (0.0996, 2, "0.10")],
)  # fmt: skip
def test_significant_digits(value: float, digits: int, text: str) -> None:
    assert measured.sig(value, digits) == text


def test_a_key_that_is_not_in_the_results_fails() -> None:
    with pytest.raises(KeyError):
        environment().from_string('{{ measured("large_search", "no such key") }}').render()
