"""What the trainings of a candidate came to, as one record: means over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from ..architectures import load_spec
from ..core.candidates import CURVES, NOTHING, PRUNED, STATUS_OK, TrainedCandidate
from ..core.figures import FIGURES, sd_name
from ..core.user_code import code_digest
from ..data import Splits
from ..metrics.predicted_loss import predicted_loss, predicted_mse
from ..scoring.latency import Latency
from ..study.constraints import LATENCY
from ..study.own_trainer import TOLD
from ..study.study_spec import StudySpec
from ..training import Outcome, mean_and_sd
from ..training.recordings_in_training import combined_records
from ..training.seed_means import compact, mean_curve, mean_measures
from .plan import Planned
from .session import Session

_PREDICTED = ("classification", "regression")  # of whose losses there are equations


def record_of(planned: Planned, latencies: Mapping[str, Latency] = NOTHING) -> TrainedCandidate:
    """Return the record of a planned training without its outcome.

    Args:
        planned: The training.
        latencies: Digest of an architecture to its measured latency, which is one of the training's figures then.
    """
    candidate = planned.candidate
    assert candidate.params is not None
    assert candidate.flops is not None
    assert candidate.number is not None
    latency = latencies.get(load_spec(candidate.architecture).digest) if latencies else None
    return TrainedCandidate(
        digest=candidate.digest,
        architecture=candidate.architecture,
        params=candidate.params,
        flops=candidate.flops,
        candidate=candidate.number,
        chosen_by=planned.chosen_by,
        training=candidate.training,
        reason=planned.reason,
        round=planned.round,
        round_end=planned.round_end,
        predicted_mean=planned.predicted_mean,
        predicted_sd=planned.predicted_sd,
        log10_sensitivity_before=candidate.log10_sensitivity,
        figures={} if latency is None else {LATENCY: latency.ms},
        figure_sds={} if latency is None else {LATENCY: latency.sd},
    )


def summarize(session: Session, planned: TrainedCandidate, outcomes: Sequence[Outcome]) -> TrainedCandidate:
    """Return the record of a planned training with its outcomes, one a seed; failed or pruned if one of them is."""
    trainer = session.spec.train.trainer
    code = None if trainer in (None, TOLD) else code_digest(trainer)
    record = replace(planned, n_seeds=len(outcomes), seconds=sum(o.seconds for o in outcomes), code=code)
    failures = [o.status for o in outcomes if o.status != STATUS_OK]
    if failures and failures[0].startswith(PRUNED):
        return replace(record, status=failures[0], curve=outcomes[0].curve, curve_of=outcomes[0].curve_of)
    if failures:
        of_how_many = f" ({len(failures)} of {len(outcomes)} seeds)" if len(outcomes) > 1 else ""
        return replace(record, status=failures[0] + of_how_many)
    figures: dict[str, Any] = {}
    for figure in FIGURES:
        values = [] if figure.seeds == "derived" else [getattr(o, figure.name) for o in outcomes]
        if values and not any(map(math.isnan, values)):  # which a trainer of the user's own need not give
            figures[figure.name], sd = mean_and_sd(values)
            figures |= {sd_name(figure.name): sd} if figure.seeds == "mean_and_sd" else {}
    figures |= _own_figures(planned, outcomes)
    if not session.spec.train.temperature_scaling:
        figures["temperature"] = None
    sensitivity = math.fsum(o.sensitivity for o in outcomes) / len(outcomes)
    if sensitivity > 0 and math.isfinite(sensitivity):
        figures["log10_sensitivity_after"] = math.log10(sensitivity)
        if session.spec.train.trainer is None:  # of another, nobody knows the loss
            figures["predicted_loss"] = _predicted_loss(session, sensitivity)
    figures["records"] = combined_records([o.records for o in outcomes])
    figures |= _curves(outcomes, is_measured_in_between=session.spec.train.metrics_every is not None)
    if figures.get("test_error") is not None and figures.get("train_error") is not None:
        figures["generalization_gap"] = figures["test_error"] - figures["train_error"]
    return replace(record, **figures)


def loss_by(spec: StudySpec, outcome: Outcome) -> float:
    """Return the figure of one training by which a study ranks, smaller being better."""
    final = "sensitivity" if spec.final == "sensitivity_after" else spec.final
    if final == "predicted_loss":
        final = "val_loss"
    value = outcome.figures.get(final, getattr(outcome, final, math.nan))
    loss = spec.select.objective.as_loss(value) if final == spec.select.target else value
    return math.inf if math.isnan(loss) else loss


def _own_figures(planned: TrainedCandidate, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return means and standard deviations of the figures of the user's own that all trainings have.

    Those that were known before are kept.
    """
    names = [name for name in outcomes[0].figures if all(name in o.figures for o in outcomes)]
    found = {name: mean_and_sd([o.figures[name] for o in outcomes]) for name in names}
    means, sds = {n: m for n, (m, _) in found.items()}, {n: s for n, (_, s) in found.items() if s is not None}
    return {"figures": {**planned.figures, **means}, "figure_sds": {**planned.figure_sds, **sds}}


def _predicted_loss(session: Session, sensitivity: float) -> float | None:
    splits, score = session.splits, session.spec.score
    if splits.input_second_moment is None or score.noise_at is not None or splits.task not in _PREDICTED:
        return None  # noise is not that of the inputs, or the loss is another one
    scales = {"input_second_moment": splits.input_second_moment, "noise_std": score.noise_std}
    if splits.task == "regression":
        return predicted_mse(sensitivity, **scales)
    if session.spec.train.loss != "cross_entropy":
        return None  # eq. 9 is of cross-entropies
    return predicted_loss(sensitivity, n_outputs=splits.n_outputs, **scales)


def _curves(outcomes: Sequence[Outcome], *, is_measured_in_between: bool) -> dict[str, Any]:
    outcomes = [o for o in outcomes if o.curve_of == outcomes[0].curve_of]  # of which foreign ones may differ
    there = [name for name in outcomes[0].curves if all(name in o.curves for o in outcomes)]
    curves = {name: mean_curve([o.curves[name] for o in outcomes]) for name in there}
    curve_epochs, compacted = compact(curves)
    measured_epochs, measure_curves = mean_measures(
        [o.measured_epochs for o in outcomes], [o.measure_curves for o in outcomes]
    )
    return {
        "curve": mean_curve([o.curve for o in outcomes]),
        "curve_of": outcomes[0].curve_of,
        "curve_epochs": curve_epochs,
        "curves": compacted,
        "measures": {name: values[-1] for name, values in measure_curves.items() if values[-1] is not None},
        "measured_epochs": measured_epochs if is_measured_in_between else (),
        "measure_curves": measure_curves if is_measured_in_between else {},
    }


def provenance(spec: StudySpec, record: TrainedCandidate, splits: Splits) -> dict[str, Any]:
    """Return what an export says of where its weights come from."""
    figures = {k: v for k, v in vars(record).items() if k not in (*CURVES, "architecture", "number") and v is not None}
    return {
        "version": version("nas-sens"),
        "study": {k: v for k, v in spec.to_dict().items() if k != "figures"},  # of the report
        "task": splits.task,
        "class_names": list(splits.class_names),
        "feature_names": list(splits.feature_names),
        "figures": figures,
    }
