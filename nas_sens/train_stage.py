"""Second stage of a search: select and train, alone or together with other processes."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import export
from . import session as session_module
from .architectures import load_spec
from .data import Splits
from .device import is_out_of_memory
from .errors import InvalidInputError
from .features import selection_features
from .identity import derive_seed
from .metrics.predicted_loss import predicted_loss, predicted_mse
from .records import CONTROL, STATUS_OK, ScoredCandidate, TrainedCandidate, describe
from .selection import Pick, control_group, select
from .session import Session, describe_study
from .study import StudySpec
from .training import Outcome, mean_and_sd, train


def plan_training(
    spec: StudySpec, candidates: list[ScoredCandidate], trained: list[TrainedCandidate]
) -> list[tuple[ScoredCandidate, str, str]]:
    """Return what is left to train, as (candidate, chosen by, reason); the control group does not see the rule."""
    ok = {c.digest: c for c in candidates if c.is_ok}
    features = [selection_features(c) for c in ok.values()]
    done = {t.digest: t.val_error if t.val_error is not None else math.inf for t in trained}
    control = control_group(features, n=spec.select.control, seed=spec.search.seed)
    n_selected = spec.select.top_k - sum(t.chosen_by != CONTROL for t in trained)
    taken = {**done, **{p.digest: math.inf for p in control}}
    chosen = select(features, taken, rule=spec.select.rule, n=max(0, n_selected), seed=spec.search.seed)
    n_control = spec.select.control - sum(t.chosen_by == CONTROL for t in trained)
    control = [p for p in control if p.digest not in done][: max(0, n_control)]
    labelled: list[tuple[Pick, str]] = [(p, spec.select.rule) for p in chosen] + [(p, CONTROL) for p in control]
    return [(ok[p.digest], by, p.reason) for p, by in labelled]


def train_selected(session: Session) -> None:
    """Train what the rule selects and the control group, each with all its seeds, and store each when it is done.

    Raises:
        InvalidInputError: No candidate can be trained.
    """
    spec, storage = session.spec, session.storage
    candidates = storage.scored(spec.name)
    if not any(c.is_ok for c in candidates):
        reasons = sorted({c.status.split(":")[0] for c in candidates}) or ["nothing is scored"]
        raise InvalidInputError(f"the study {spec.name!r} has no candidate to train: {', '.join(reasons)}")
    plan = plan_training(spec, candidates, storage.trained(spec.name))
    n_epochs = spec.train.seeds * spec.train.epochs
    is_told = False
    with session.progress.stage("train", len(plan) * n_epochs) as stage:
        while plan:
            left = []
            for candidate, chosen_by, reason in plan:
                if not storage.take(spec.name, candidate.digest):
                    left.append((candidate, chosen_by, reason))
                    continue
                try:
                    if candidate.digest in {t.digest for t in storage.trained(spec.name)}:
                        stage.advance(n_epochs, "trained by another process")
                    else:
                        _train_one(session, candidate, chosen_by, reason, stage.advance)
                finally:
                    storage.release(spec.name, candidate.digest)
            if len(left) == len(plan):  # then others work on all of them, and one of them may die
                if not is_told:
                    session.progress.message(f"waiting for {len(left)} trainings of other processes")
                is_told = True
                time.sleep(session_module.POLL_SECONDS)
            plan = left
    describe_study(session)


def _train_one(session: Session, candidate: ScoredCandidate, chosen_by: str, reason: str, advance: Any) -> None:
    spec, splits = session.spec, session.splits
    architecture = load_spec(candidate.architecture)
    note = describe(candidate.architecture)
    outcomes = []
    for i in range(spec.train.seeds):
        n_epochs = 0

        def on_epoch() -> None:
            nonlocal n_epochs
            n_epochs += 1
            advance(1, note)
            if n_epochs % 10 == 0:
                session.storage.beat(spec.name, candidate.digest)

        try:
            outcome = train(
                architecture,
                splits,
                spec.train,
                seed=derive_seed("training", spec.search.seed, i),
                sensitivity=session.probe.mean_sensitivity,
                on_epoch=on_epoch,
            )
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            outcome = Outcome(status="too large: training does not fit in memory")
        advance(spec.train.epochs - n_epochs, note)  # stopped early
        outcomes.append(outcome)
    record = _summarize(session, candidate, chosen_by, reason, outcomes)
    verdict = f"val_loss {record.val_loss:.4g}, val_error {record.val_error:.4g}" if record.is_ok else record.status
    session.progress.detail(f"trained {note} in {record.seconds:.1f} s: {verdict} ({reason})")
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {}
        if record.is_ok:
            best = min(outcomes, key=lambda o: o.val_loss)
            config = export.model_config(
                architecture,
                input_shape=splits.input_shape,
                n_outputs=splits.n_outputs,
                mean=splits.mean,
                std=splits.std,
                provenance=_provenance(spec, record, splits),
            )
            export.write_model(Path(folder), config, best.state)
            artifacts = {f: Path(folder) / f for f in (export.CONFIG, export.WEIGHTS)}
        session.storage.add_trained(spec.name, record, candidate, artifacts)


def _summarize(
    session: Session, candidate: ScoredCandidate, chosen_by: str, reason: str, outcomes: list[Outcome]
) -> TrainedCandidate:
    assert candidate.params is not None
    assert candidate.flops is not None
    assert candidate.number is not None
    record = TrainedCandidate(
        digest=candidate.digest,
        architecture=candidate.architecture,
        params=candidate.params,
        flops=candidate.flops,
        source_trial=candidate.number,
        chosen_by=chosen_by,
        reason=reason,
        n_seeds=len(outcomes),
        log10_sensitivity_before=candidate.log10_sensitivity,
        seconds=sum(o.seconds for o in outcomes),
    )
    failures = [o.status for o in outcomes if o.status != STATUS_OK]
    if failures:
        return replace(record, status=f"{failures[0]} ({len(failures)} of {len(outcomes)} seeds)")
    figures: dict[str, Any] = {}
    for key in ("train_loss", "train_error", "val_loss", "val_error", "test_loss", "test_error"):
        figures[key], sd = mean_and_sd([getattr(o, key) for o in outcomes])
        if not key.startswith("train"):
            figures[f"{key}_sd"] = sd
    sensitivity = math.fsum(o.sensitivity for o in outcomes) / len(outcomes)
    if sensitivity > 0 and math.isfinite(sensitivity):
        figures["log10_sensitivity_after"] = math.log10(sensitivity)
        scales = {
            "input_second_moment": session.splits.input_second_moment,
            "noise_std": session.spec.score.noise_std,
        }
        figures["predicted_loss"] = (
            predicted_mse(sensitivity, **scales)
            if session.splits.task == "regression"
            else predicted_loss(sensitivity, n_outputs=session.splits.n_outputs, **scales)
        )
    length = max(len(o.curve) for o in outcomes)  # a training that stopped early keeps its last loss
    curves = [o.curve + (o.curve[-1],) * (length - len(o.curve)) for o in outcomes]
    figures["curve"] = tuple(math.fsum(values) / len(values) for values in zip(*curves, strict=True))
    return replace(record, generalization_gap=figures["test_error"] - figures["train_error"], **figures)


def _provenance(spec: StudySpec, record: TrainedCandidate, splits: Splits) -> dict[str, Any]:
    figures = {k: v for k, v in vars(record).items() if k not in ("curve", "architecture", "number") and v is not None}
    return {
        "version": version("nas-sens"),
        "study": spec.to_dict(),
        "task": splits.task,
        "class_names": list(splits.class_names),
        "feature_names": list(splits.feature_names),
        "figures": figures,
    }
