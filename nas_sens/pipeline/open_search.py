"""Ask and tell: a search for those who keep their own outer loop, as with Optuna's ``ask`` and ``tell``."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ..architectures import ArchitectureSpec, load_spec
from ..architectures.built_network import own_network, state_as_built
from ..core.candidates import PRUNED, STATUS_OK
from ..core.errors import InvalidInputError
from ..core.figures import Direction
from ..core.identity import derive_seed
from ..core.progress import Progress
from ..data import Data, DataSpec, Splits, split
from ..data.own import samples_of
from ..results.search_result import SearchResult, read_result
from ..storage.queue import Claim
from ..study.own_trainer import TOLD
from ..study.score_spec import ScoreSpec
from ..study.search_space import SearchSpace, load_space
from ..study.select_spec import Rule, SelectSpec
from ..study.study_spec import SearchSpec, StudySpec
from ..study.train_spec import TrainSpec
from ..training import Outcome
from ..training.networks import untrained, weights_of
from ..training.own_figures import checked_figures, fields_of, number_of
from .declare import declare
from .network_files import network_files
from .prepare import Prepared, prepare
from .score_stage import score_candidates
from .session import Session, describe_study, enter
from .settings import Settings
from .train_stage import trainable
from .train_summary import summarize
from .training_queue import Filled, TrainingQueue
from .waiting import Waiting

_PROBE = "probe"  # what data are called that are only scored with


@dataclass(frozen=True, eq=False)
class Asked:
    """A training that was asked for, and is to be told of.

    Attributes:
        spec: The architecture.
        training: What is searched of its training, to the values that it is to have.
        number: Number of its trial.
        chosen_by: The rule that chose it, or "control".
        reason: Why, in words.
        seed: A seed for this training.
        device: Where candidates are scored.
    """

    spec: ArchitectureSpec
    training: Mapping[str, Any]
    number: int
    chosen_by: str
    reason: str
    seed: int
    device: torch.device
    _claim: Claim = field(repr=False)
    _splits: Splits = field(repr=False)
    _curve: list[float] = field(default_factory=list, repr=False)

    def build(self) -> nn.Module:
        """Return the untrained network on :attr:`device`, drawn with :attr:`seed` from its own initialisation.

        Of a function of one's own it is what that returns.
        """
        return own_network(untrained(self.spec, self._splits, seed=self.seed, device=self.device))

    def _state_of(self, model: nn.Module) -> dict[str, torch.Tensor]:
        as_built = self.spec.skeleton(self._splits.input_shape, self._splits.n_outputs)
        return state_as_built(weights_of(model), as_built)

    def report(self, value: float) -> None:
        """Report the target after an epoch: its curve, which the dashboard shows while the training runs."""
        self._curve.append(number_of("value", value))
        self._claim.report(len(self._curve), self._curve[-1])


class OpenSearch:
    """A search whose trainings are asked for and told of; what :func:`open_search` returns.

    It may be used in a ``with`` block: what was asked for and not told of waits again when that ends.
    """

    def __init__(self, prepared: Prepared, session: Session, places: Mapping[str, Any]) -> None:
        self._prepared, self._session, self._places = prepared, session, places
        self._queue: TrainingQueue | None = None
        self._claims: dict[int, Claim] = {}

    def __enter__(self) -> OpenSearch:
        """Return the search."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def score(self, n: int) -> None:
        """Propose and score candidates until the study has ``n``; what it has already is kept.

        Raises:
            InvalidInputError: Nothing in the space is feasible.
        """
        spec = self._prepared.spec
        search = replace(spec.search, n_candidates=n)
        self._prepared = replace(self._prepared, spec=replace(spec, search=search))
        self._session = enter(self._prepared, **self._places)
        self._queue = None
        score_candidates(self._session)

    def ask(self) -> Asked | None:
        """Return the next training, which is this process's own until it is told of; None when nothing is left to do.

        Several may be asked for before one is told of; what is chosen then depends on predictions in place of outcomes.
        Where other processes train, this waits for them if the next choice needs their outcomes.

        Raises:
            InvalidInputError: Nothing is scored yet, or no candidate can be trained.
        """
        storage, name = self._session.storage, self._session.spec.name
        waiting = Waiting(self._session.progress, poll_seconds=self._session.settings.poll_seconds)
        while (claim := storage.take(name)) is None:
            if self._queue is None:
                self._queue = TrainingQueue(self._session, trainable(self._session))
            filled = self._queue.fill(is_asynchronous=bool(self._claims))
            if filled == Filled.DONE or (filled == Filled.WAIT and self._claims):
                return None
            if filled == Filled.WAIT:
                waiting.wait("waiting for the trainings of other processes")
        training = claim.training
        number = training.number
        assert number is not None
        self._claims[number] = claim
        return Asked(
            spec=load_spec(training.architecture),
            training=training.training,
            number=number,
            chosen_by=training.chosen_by,
            reason=training.reason,
            seed=derive_seed("training", self._session.spec.search.seed, 0) % 2**32,  # as of jobs
            device=self._session.probe.device,
            _claim=claim,
            _splits=self._session.splits,
        )

    def tell(
        self,
        asked: Asked,
        *,
        state: Literal["complete", "pruned", "fail"] = "complete",
        model: nn.Module | None = None,
        files: Mapping[str, str | Path] | None = None,
        **figures: float,
    ) -> bool:
        """Store what a training came to.

        Args:
            asked: What :meth:`ask` returned.
            state: ``complete``, with the target among the figures; ``pruned``, or ``fail``.
            model: The trained network, whose weights are kept, so that it can be exported.
            files: Files that are kept with it, by name.
            figures: Figures by name; those of the test set decide nothing.

        Returns:
            Whether it is stored; False if it was given to another process, as this one gave no sign of life.

        Raises:
            InvalidInputError: It was told of already, the target is missing, a figure is no number, or a file is not
                there.
        """
        session, spec = self._session, self._session.spec
        if asked.number not in self._claims:
            raise InvalidInputError(f"the training of trial {asked.number} was told of already, or never asked for")
        kept = {str(name): Path(path) for name, path in (files or {}).items()}
        if missing := [str(path) for path in kept.values() if not path.is_file()]:
            raise InvalidInputError(f"files must be there when they are told of; there is no {missing[0]}")
        status = {"complete": STATUS_OK, "pruned": f"{PRUNED} by its own program", "fail": "failed: so it was told"}
        if state not in status:
            raise InvalidInputError(f"state must be one of {', '.join(status)}; given {state!r}")
        required = (spec.select.target,) if state == "complete" else ()
        found = checked_figures(figures, required=required, source="tell")
        if lost := [name for name in required if not math.isfinite(found[name])]:
            raise InvalidInputError(f"{lost[0]} must be finite; given {found[lost[0]]}; tell state='fail' instead")
        outcome = Outcome(
            **fields_of(found),
            status=status[state],
            curve=tuple(asked._curve),
            curve_of=spec.select.target,
            state={} if model is None else asked._state_of(model),
        )
        record = summarize(session, asked._claim.training, [outcome])
        with tempfile.TemporaryDirectory() as folder:
            if outcome.state and record.is_ok:
                kept |= network_files(
                    Path(folder), asked.spec, outcome.state, spec=spec, record=record, splits=session.splits
                )
            is_stored = session.storage.finish(spec.name, asked._claim, record, kept) is not None
        del self._claims[asked.number]
        return is_stored

    def result(self) -> SearchResult:
        """Return what the study holds now."""
        return read_result(self._session.storage, self._session.spec.name)

    def close(self) -> None:
        """Let what was asked for and not told of wait again, for this or another process."""
        for claim in self._claims.values():
            self._session.storage.put_back(claim)
        self._claims = {}
        describe_study(self._session)


def open_search(
    space: str | Path | SearchSpace,
    *,
    probe: Any,
    target: str = "val_error",
    direction: Direction = "minimize",
    n_outputs: int = 1,
    name: str = "search",
    rule: Rule = "calibrated",
    top_k: int = 8,
    control: int = 4,
    rounds: int | None = None,
    grow: int | None = None,
    seed: int = 0,
    score: ScoreSpec | None = None,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> OpenSearch:
    """Open a search whose trainings a program of one's own does: it asks for them, and tells what they came to.

        s = ns.open_search(space, probe=x, storage=url, target="val_f1", direction="maximize")
        s.score(500)
        while job := s.ask():
            model = job.build()
            ...
            s.tell(job, val_f1=..., model=model)

    The study is like any other: another process may open it, too, and all commands that read a study work on it.

    Args:
        space: A SearchSpace, or the name or path of one.
        probe: Inputs (n, …) that candidates are scored with: a tensor or an array, or a tuple or dict of them.
        target: The figure that the rule makes better.
        direction: Whether more of it is better ("maximize") or less.
        n_outputs: What the networks' builders are called with.
        name: Name of the study.
        rule: As in :class:`SelectSpec`, and so are ``top_k``, ``control`` and ``rounds``.
        top_k: Number of candidates that the rule chooses.
        control: Number of random ones beside them.
        rounds: Number of rounds of a rule that learns; None for two trainings at a time.
        grow: Number of candidates that are proposed before each round from the second on (see :class:`SearchSpec`).
        seed: Seed of everything.
        score: How candidates are scored.
        storage: SQLAlchemy URL; None for ``OPTUNA_STORAGE`` or ``sqlite:///nas_sens.db``.
        artifacts: Folder or bucket for weights and files; None for a folder beside the SQLite file.
        device: Where candidates are scored.
        progress: Where to report progress to.

    Returns:
        The search.

    Raises:
        InvalidInputError: An argument is wrong, or the study in the database was made with others.
        StorageError: The database cannot be used.
    """
    spec = declare(
        StudySpec(
            name=name,
            search_space=load_space(space),
            data=DataSpec(name=_PROBE),
            score=score or ScoreSpec(),
            search=SearchSpec(seed=seed, grow=grow),
            select=SelectSpec(
                rule=rule, top_k=top_k, control=control, rounds=rounds, target=target, direction=direction
            ),
            train=TrainSpec(trainer=TOLD, seeds=1),
        )
    )
    samples = samples_of(Data(probe=probe, n_outputs=n_outputs), source=_PROBE)
    prepared = prepare(spec, device=device, load=lambda given: split(samples, given))
    places: dict[str, Any] = {"storage": storage, "artifacts": artifacts, "progress": progress, "settings": Settings()}
    return OpenSearch(prepared, enter(prepared, **places), places)
