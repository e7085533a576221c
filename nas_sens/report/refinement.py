"""What a refinement shows in words: what the best owed to chance, what came with fresh seeds, and what remains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.candidates import TrainedCandidate
from ..core.figures import Objective
from ..statistics.optimism import Optimism, optimism_of_best
from ..study.select_spec import ranking_figure
from .numbers_as_text import number


def optimism_text(protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate]) -> str | None:
    """Return how much the best of a study owes to chance; None where there is nothing to choose between.

    Args:
        protocol: The study as declared.
        trained: Its trained candidates.
    """
    by = ranking_figure(protocol)
    found = _optimism(by, trained)
    if found is None or found.n < 2:
        return None
    head = f"The best {by.name} of {found.n} trained networks"
    if found.expected is None:
        return (
            f"{head} may look up to {number(found.at_most)} better than it is, as it was chosen for it: each was "
            "trained with one seed, so that the noise is not known. nas-sens refine trains finalists with fresh ones."
        )
    return (
        f"{head} is expected to look {number(found.expected)} better than it is, as it was chosen for it (noise of a "
        f"result: ± {number(found.noise or 0.0)}); trained anew with other seeds it comes out so much worse."
    )


def refinement_lines(protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate]) -> list[str]:
    """Return what a refinement shows, one sentence a line; none for other studies.

    Args:
        protocol: The study as declared.
        trained: Its trained candidates.
    """
    refine = protocol.get("refine")
    if not isinstance(refine, Mapping):
        return []
    by, ok = ranking_figure(protocol), {t.digest: t for t in trained if t.is_ok}
    pairs = [(f, t) for f in refine["finalists"] if (t := ok.get(f["digest"])) and t.figure(by.name) is not None]
    figure = refine["figure"]
    lines = [_origin(refine, protocol), _there(refine)]
    for f, t in pairs:
        before = _with_error(f["value"], f["standard_error"])
        lines.append(f"Rank {f['rank']} there: {figure} {before} → {_here(t, by)}.")
    if pairs and figure == by.name:
        lines.append(_change(pairs, by))
    return [*lines, *_remaining(by, trained)]


def _remaining(by: Objective, trained: Sequence[TrainedCandidate]) -> list[str]:
    """Return what the best of the finalists owes to chance."""
    found = _optimism(by, trained)
    if found is None:
        return []
    if found.n == 1:
        return ["What remains: nothing, as nothing was chosen by this result."]
    if found.expected is None:
        return [f"What remains: {_looks(found.n, f'may look up to {number(found.at_most)}')}; --seeds 2 says more."]
    return [f"What remains: {_looks(found.n, f'is expected to look {number(found.expected)}')}."]


def _looks(n: int, how: str) -> str:
    return f"the best of these {n} {how} better than it is"


def _origin(refine: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    """Return what is trained on, and what is other than there."""
    how = {"scratch": "again from random weights", "weights": "on from the weights of their best training"}
    changes = []
    for key, before in sorted(refine["changed"].items()):
        section, _, name = key.partition(".")
        changes.append(f"{key} {before} → {protocol.get(section, {}).get(name)}")
    what = f"{len(refine['finalists'])} of {refine['n_trained']} trained networks"
    other = f"; other than there: {', '.join(changes)}" if changes else ""
    return f"Refines the study {refine['study']}: {what}, trained {how[refine['start']]} with fresh seeds{other}."


def _there(refine: Mapping[str, Any]) -> str:
    if refine["optimism"] is None:
        return (
            f"There each was trained with one seed: the best {refine['figure']} may have looked up to "
            f"{number(refine['optimism_at_most'])} better than it was."
        )
    return (
        f"There the best {refine['figure']} of {refine['n_trained']} was expected to look "
        f"{number(refine['optimism'])} better than it was."
    )


def _change(pairs: Sequence[tuple[Mapping[str, Any], TrainedCandidate]], by: Objective) -> str:
    """Return how much worse or better the finalists came out on average, in the direction of the figure."""
    worse = [by.as_loss(t.figure(by.name) or 0.0) - by.as_loss(f["value"]) for f, t in pairs]
    mean = math.fsum(worse) / len(worse)
    text = f"{number(abs(mean))} {'worse' if mean > 0 else 'better'}"
    which = "The finalist came out" if len(pairs) == 1 else f"The {len(pairs)} finalists came out, on average,"
    return f"{which} {text} than there: what training changed, less what they owed to chance."


def _here(trained: TrainedCandidate, by: Objective) -> str:
    sd = trained.figure_sd(by.name)
    error = None if sd is None else sd / math.sqrt(trained.n_seeds)
    return f"{by.name} {_with_error(trained.figure(by.name) or 0.0, error)} (mean of {trained.n_seeds} fresh seeds)"


def _with_error(value: float, error: float | None) -> str:
    return number(value) if error is None else f"{number(value)} ± {number(error)}"


def _optimism(by: Objective, trained: Sequence[TrainedCandidate]) -> Optimism | None:
    found = [(t, v) for t in trained if t.is_ok and (v := t.figure(by.name)) is not None]
    sds = [(t.figure_sd(by.name), t.n_seeds) for t, _ in found]
    errors = [None if sd is None else sd / math.sqrt(n) for sd, n in sds]
    return optimism_of_best([by.as_loss(v) for _, v in found], errors)
