"""The whole story: sample, score, select, train, store."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from . import export
from .annotations import annotate
from .architectures import load_spec
from .data import Splits, load_data
from .declarations import changed
from .device import resolve_device
from .errors import InvalidInputError
from .identity import canonical_json, derive_seed
from .metrics.predicted_loss import predicted_loss, predicted_mse
from .progress import Progress, SilentProgress, Stage
from .records import CONTROL, STATUS_OK, ScoredCandidate, TrainedCandidate, describe
from .results import SearchResult, read_result, storage_url
from .scoring import Probe, assess, is_out_of_memory
from .selection import Candidate, Pick, control_group, select
from .space import Proposal, Proposer
from .storage import StudyStorage, redact
from .study import StudySpec, check_resumable, from_dict, load_study
from .training import Outcome, mean_and_sd, train

_FLUSH_SECONDS = 2.0
_FLUSH_COUNT = 64
_INFEASIBLE_IN_A_ROW = 2_000
_POLL_SECONDS = 0.5
_INDEPENDENT_SAMPLERS = ("random", "enumerate")  # whose proposals do not depend on the answers


@dataclass(frozen=True)
class Session:
    """An open study: declaration, database, data on the device, probe."""

    spec: StudySpec
    storage: StudyStorage
    splits: Splits
    probe: Probe
    progress: Progress


def search(
    study: str | Path | StudySpec,
    *,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    n_candidates: int | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Sample, score, select and train what a study declares; called again, it goes on where it was.

    Args:
        study: A bundled name, a TOML file or a StudySpec.
        storage: SQLAlchemy URL; None for ``OPTUNA_STORAGE`` or ``sqlite:///nas_sens.db``.
        artifacts: Folder for trained weights; None for one beside the SQLite file.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        n_candidates: Overrides ``[search] n_candidates``; so ``top_k``, ``seed`` and ``name``.
        top_k: See ``n_candidates``.
        seed: See ``n_candidates``.
        name: See ``n_candidates``.
        progress: Where to report progress to.

    Returns:
        Everything that the study holds now.

    Raises:
        InvalidInputError: The declaration is wrong, or the study in the database was made with another one.
        StorageError: The database or the artifact folder cannot be used.
    """
    spec = override(load_study(study), n_candidates=n_candidates, top_k=top_k, seed=seed, name=name)
    session = open_session(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    score_candidates(session)
    train_selected(session)
    return read_result(session.storage, session.spec.name)


def override(
    spec: StudySpec,
    *,
    n_candidates: int | None = None,
    top_k: int | None = None,
    control: int | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> StudySpec:
    """Return the study with the given values in place of its own."""
    changes: list[tuple[str, str, Any]] = [
        ("search", "n_candidates", n_candidates),
        ("search", "seed", seed),
        ("select", "top_k", top_k),
        ("select", "control", control),
    ]
    for section, key, value in changes:
        if value is not None:
            spec = replace(spec, **{section: changed(getattr(spec, section), where=section, **{key: value})})
    return spec if name is None else changed(spec, where="", name=name)


def open_session(
    spec: StudySpec,
    *,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Session:
    """Load the data, open the database, and create the study or check that it may be resumed.

    Raises:
        InvalidInputError: The study in the database was made with other data, another space or another protocol.
    """
    where = resolve_device(device)
    splits = load_data(spec.data)
    database = StudyStorage(storage_url(storage), artifacts=None if artifacts is None else Path(artifacts))
    with database.creating(spec.name):
        if database.exists(spec.name):
            attributes = database.attributes(spec.name)
            stored = from_dict(json.loads(attributes["study"]))
            if spec.search.sampler == "auto":
                spec = replace(spec, search=replace(spec.search, sampler=stored.search.sampler))
            is_trained = bool(database.trained(spec.name))
            check_resumable(stored, spec, is_trained=is_trained, where=database.shown_url)
            if attributes["data_fingerprint"] != splits.fingerprint:
                raise InvalidInputError(
                    f"the data of study {spec.name!r} changed: fingerprint {attributes['data_fingerprint']} stored, "
                    f"{splits.fingerprint} given; restore the data, or start a new study with --name"
                )
        else:
            sampler = Proposer(spec.search_space, **_sampling(spec)).sampler
            spec = replace(spec, search=replace(spec.search, sampler=sampler))
        database.create(spec.name, _study_attributes(spec, splits))
    moved = splits.to(where)
    probe = Probe(moved.x_val, spec.score, seed=spec.search.seed)
    session = Session(spec, database, moved, probe, progress or SilentProgress())
    _annotate(session)
    return session


def _annotate(session: Session) -> None:
    """Describe the study for the dashboard; a study is worth more than its description, so a failure is only told."""
    try:
        annotate(session.storage, session.spec.name)
    except Exception as error:  # whatever it is: see above
        text = redact(str(error), session.storage.url).strip().partition("\n")[0]
        session.progress.message(f"the notes for the dashboard could not be written: {text or type(error).__name__}")


def _sampling(spec: StudySpec) -> dict[str, Any]:
    return {"sampler": spec.search.sampler, "seed": spec.search.seed, "n_candidates": spec.search.n_candidates}


def _study_attributes(spec: StudySpec, splits: Splits) -> dict[str, Any]:
    if spec.score.after_softmax and splits.task == "regression":
        raise InvalidInputError(
            f"after_softmax = true in [score] needs classes, but data {spec.data.name!r} is for regression: softmax "
            "of one output is always 1; set it to false"
        )
    return {
        "nas_sens_version": version("nas-sens"),
        "study": canonical_json(spec.to_dict()),
        "space_digest": spec.search_space.digest,
        "data_fingerprint": splits.fingerprint,
        "input_shape": list(splits.input_shape),
        "n_outputs": splits.n_outputs,
        "task": splits.task,
        "input_second_moment": splits.input_second_moment,
    }


def score_candidates(session: Session) -> None:
    """Propose and score until the study holds as many unique feasible candidates as it declares.

    The sampler runs from its start and is answered from the database for what is stored already: a resumed study
    continues as if it had never stopped.
    """
    spec, storage = session.spec, session.storage
    with session.progress.stage("score", spec.search.n_candidates) as stage:
        if spec.search.sampler in _INDEPENDENT_SAMPLERS:
            _Scoring(session, stage, n_ahead=spec.search.n_candidates).run()
        else:
            # Every proposal depends on the answers before it, so that one process scores and the others wait for it.
            _wait_for(session, "sampler")
            try:
                _Scoring(session, stage, n_ahead=1).run()
            finally:
                storage.release(spec.name, "sampler")
    _annotate(session)


def _wait_for(session: Session, item: str) -> None:
    is_told = False
    while not session.storage.take(session.spec.name, item):
        if not is_told:
            session.progress.message("another process scores the candidates; waiting for it")
        is_told = True
        time.sleep(_POLL_SECONDS)


class _Scoring:
    """Scoring of a study's candidates, shared among the processes that work on it.

    Every process draws the same proposals. Those without a score yet are dealt out in blocks, by claims. No more are
    drawn than would be needed if all of them were feasible, so that the result is that of a single process.
    """

    def __init__(self, session: Session, stage: Stage, *, n_ahead: int) -> None:
        self.session, self.stage, self.n_ahead = session, stage, n_ahead
        self.name, self.space = session.spec.name, session.spec.search_space
        self.n_wanted = session.spec.search.n_candidates
        self.block_size = min(_FLUSH_COUNT, max(1, self.n_wanted // 16))
        self.proposer = Proposer(self.space, **_sampling(session.spec))
        self.known: dict[str, ScoredCandidate] = {}
        self.pending: dict[int, Proposal] = {}  # proposals that wait for a score, by their place among unique ones
        self.buffer: list[tuple[ScoredCandidate, Mapping[str, Any]]] = []
        self.flushed = time.monotonic()
        self.n_drawn = self.n_feasible = self.n_infeasible_in_a_row = 0
        self.is_exhausted = self.is_told = False

    def run(self) -> None:
        """Score until the study has as many unique feasible candidates as it declares, or all of its space."""
        self.refresh()
        try:
            while self.draw():
                if self.n_ahead == 1:
                    for place in list(self.pending):
                        self.score(place)
                    self.flush_sometimes()
                elif not self.score_a_block():
                    self.wait()
            if self.is_exhausted:
                text = f"the space {self.space.name!r} is exhausted: {self.n_feasible} unique feasible candidates"
                self.session.progress.message(text)
        finally:
            self.flush()

    def draw(self) -> bool:
        """Draw proposals while they are needed for sure; return whether any waits for a score."""
        while len(self.pending) < self.n_ahead and self.n_feasible + len(self.pending) < self.n_wanted:
            proposal = self.proposer.ask()
            if proposal is None:
                self.is_exhausted = True
                break
            if proposal.is_repeat:
                candidate = self.known.get(proposal.architecture.digest)
                is_ok = candidate is not None and candidate.is_ok
                self.proposer.tell(proposal, candidate.log10_sensitivity if candidate and is_ok else None)
                continue
            self.pending[self.n_drawn] = proposal
            self.n_drawn += 1
            self.settle(self.n_drawn - 1)
        return bool(self.pending)

    def settle(self, place: int) -> None:
        """Count a pending proposal if its score is known."""
        proposal = self.pending[place]
        candidate = self.known.get(proposal.architecture.digest)
        if candidate is None:
            return
        del self.pending[place]
        self.proposer.tell(proposal, candidate.log10_sensitivity if candidate.is_ok else None)
        if candidate.feasible:
            self.n_feasible += 1
            self.stage.advance(1)
        self.n_infeasible_in_a_row = 0 if candidate.feasible else self.n_infeasible_in_a_row + 1
        if self.n_infeasible_in_a_row >= _INFEASIBLE_IN_A_ROW:
            raise InvalidInputError(
                f"{_INFEASIBLE_IN_A_ROW:,} candidates in a row were infeasible, the last one because "
                f"{candidate.status.removeprefix('infeasible: ')}; widen the constraints of {self.space.name!r}"
            )

    def score(self, place: int) -> None:
        """Score a pending proposal, unless it is known meanwhile."""
        proposal = self.pending[place]
        if proposal.architecture.digest not in self.known:
            candidate = _assess(self.session, proposal)
            self.session.progress.detail(f"scored {_verdict(candidate)}")
            self.known[candidate.digest] = candidate
            self.buffer.append((candidate, self.space.trial_distributions(proposal.params)))
        self.settle(place)

    def score_a_block(self) -> bool:
        """Score the first block of pending proposals that no other process works on; return whether there was one."""
        for block in dict.fromkeys(place // self.block_size for place in self.pending):
            item = f"scores {self.block_size}:{block}"
            if not self.session.storage.take(self.name, item):
                continue
            try:
                self.refresh()  # another process may have scored it just now
                for place in [p for p in self.pending if p // self.block_size == block]:
                    self.score(place)
                    self.flush_sometimes()
            finally:
                self.flush()
                self.session.storage.release(self.name, item)
            return True
        return False

    def wait(self) -> None:
        """Wait a moment for the processes that score what is pending."""
        if not self.is_told:
            text = f"nothing left to score here; waiting for {len(self.pending)} candidates of other processes"
            self.session.progress.message(text)
        self.is_told = True
        time.sleep(_POLL_SECONDS)
        self.refresh()

    def refresh(self) -> None:
        """Learn what is stored."""
        self.known |= {c.digest: c for c in self.session.storage.scored(self.name)}
        for place in list(self.pending):
            self.settle(place)

    def flush_sometimes(self) -> None:
        """Store what is scored if it is much or old."""
        is_old = time.monotonic() - self.flushed > _FLUSH_SECONDS
        if len(self.buffer) >= _FLUSH_COUNT or (self.buffer and is_old):
            self.flush()

    def flush(self) -> None:
        """Store what is scored."""
        if self.buffer:
            self.session.storage.add_scored(self.name, self.buffer)
        self.buffer.clear()
        self.flushed = time.monotonic()
        if self.n_ahead == 1:
            self.session.storage.beat(self.name, "sampler")


def _verdict(candidate: ScoredCandidate) -> str:
    text = describe(candidate.architecture)
    if not candidate.is_ok:
        return f"{text}: {candidate.status}"
    error = "" if candidate.stderr is None else f" ± {candidate.stderr:.2g}"
    return f"{text}: log10 S {candidate.log10_sensitivity:.4g}{error} ({candidate.estimator})"


def _assess(session: Session, proposal: Proposal) -> ScoredCandidate:
    try:
        return assess(session.spec.search_space, proposal, session.splits, session.probe)
    except MemoryError:  # as Python and NumPy say it; PyTorch's own error is seen to by ``assess``
        architecture = proposal.architecture
        return ScoredCandidate(
            digest=architecture.digest,
            architecture=architecture.to_json(),
            params_sampled=dict(proposal.params),
            status="too large: the candidate does not fit in memory",
        )


def plan_training(
    spec: StudySpec, candidates: list[ScoredCandidate], trained: list[TrainedCandidate]
) -> list[tuple[ScoredCandidate, str, str]]:
    """Return what is left to train, as (candidate, chosen by, reason); the control group does not see the rule."""
    ok = {c.digest: c for c in candidates if c.is_ok}
    features = [_features(c) for c in ok.values()]
    done = {t.digest: t.val_error if t.val_error is not None else math.inf for t in trained}
    control = control_group(features, n=spec.select.control, seed=spec.search.seed)
    n_selected = spec.select.top_k - sum(t.chosen_by != CONTROL for t in trained)
    taken = {**done, **{p.digest: math.inf for p in control}}
    chosen = select(features, taken, rule=spec.select.rule, n=max(0, n_selected), seed=spec.search.seed)
    n_control = spec.select.control - sum(t.chosen_by == CONTROL for t in trained)
    control = [p for p in control if p.digest not in done][: max(0, n_control)]
    labelled: list[tuple[Pick, str]] = [(p, spec.select.rule) for p in chosen] + [(p, CONTROL) for p in control]
    return [(ok[p.digest], by, p.reason) for p, by in labelled]


def _features(candidate: ScoredCandidate) -> Candidate:
    assert candidate.log10_sensitivity is not None
    assert candidate.params is not None
    assert candidate.flops is not None
    features = {
        "log10_sensitivity": candidate.log10_sensitivity,
        "log10_params": math.log10(max(candidate.params, 1)),
        "log10_flops": math.log10(max(candidate.flops, 1)),
    }
    return Candidate(candidate.digest, features, json.loads(candidate.architecture)["family"])


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
                time.sleep(_POLL_SECONDS)
            plan = left
    _annotate(session)


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
