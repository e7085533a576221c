"""ScoreSpec: how untrained candidates are scored, as declared in ``[score]`` of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as declared

from ..core.init_schemes import InitScheme
from ..core.user_code import named
from ..metrics import METRICS

Positive = Annotated[int, Field(ge=1)]
DEFAULT_METRICS = ("naswot", "synflow", "jacob_cov")


def _auto_none_or_names(metrics: Any) -> Any:
    """Return what is declared as metrics; "none" for an empty list.

    Raises:
        ValueError: It is none of what may be.
    """
    if isinstance(metrics, (list, tuple)) and all(isinstance(name, str) for name in metrics):
        return tuple(metrics) or "none"
    if metrics in ("auto", "none"):
        return metrics
    raise ValueError(f'must be "auto", "none" or a list of names (nas-sens list metrics); given {metrics!r}')


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class ScoreSpec:
    """How untrained candidates are scored.

    Args:
        metric: The measure; ``output_sensitivity`` is eq. 2 of forouzesh2020. The relative sensitivity, which has no
            scale, is stored beside it always: it costs nothing more.
        estimator: ``monte_carlo`` averages over random networks. ``closed_form`` computes the mean over all networks in
            the limit of wide layers, from at most 16 of the inputs, and fails candidates with a module that has no such
            form. ``auto`` takes the closed form where there is one and no average pool, else Monte Carlo; every
            candidate records which.
        probe_init: Initialisation that networks are probed with: ``own`` for the candidate's own, or any scheme. The
            probe is not the initialisation that training starts from.
        noise_std: Standard deviation of the input noise, in the units that the network sees.
        n_inputs: Number of inputs (or fewer if there are not so many), drawn by the study's seed with all classes in
            proportion.
        inputs: Where inputs come from: the ``validation`` set, the ``train`` set, or ``gaussian`` noise of each input
            entry's own mean and standard deviation over the validation set.
        seeds: Number of random networks, and of noise draws, per candidate; with ``precision`` the smallest number.
        precision: Standard error of log10 S that networks are added for until it is reached, twice as many each time;
            None to draw ``seeds`` networks. Monte Carlo only.
        max_seeds: Largest number of networks with ``precision`` or ``racing``.
        racing: Whether to add networks, up to ``max_seeds``, only to candidates of which the selection rule cannot tell
            yet whether it chooses them. Candidates are then stored when the race is over.
        after_softmax: Whether to measure behind a softmax; a comparator (see `metrics.output_sensitivity`).
        output: Which of several outputs of a network is looked at: a key or attribute of what it returns, an index, or
            ``module:function`` (in Python, the function itself) that returns a tensor (n, …) from it. None for the
            tensor that it returns, or for ``logits`` of a dict or object. Monte Carlo only.
        noise_at: Name of the module of a network behind which noise enters, in units of what that module gives, or the
            end of its name behind a dot. None for the inputs or, where these are whole numbers (tokens), for the first
            embedding that runs. Monte Carlo only.
        reduced: Parameters of the architecture that are replaced for scoring, such as ``{ cells_per_stage = 1 }``: a
            smaller network is scored in place of the full one. Parameters and FLOPs are those of the full one.
        metrics: Further measures of every candidate, which the calibrated rule learns from, too. ``auto`` for those
            that cost little (``naswot``, ``synflow``, ``jacob_cov``) of candidates whose score takes a network, of one
            of these, on at most 32 inputs; fully-connected ones that are scored in closed form together have none, and
            what cannot be measured is left out. ``none``; or a list (``nas-sens list metrics``): means over ``seeds``
            networks of the candidate's own initialisation on the same inputs. Some look at labels, of the inputs' own
            set.
    """

    metric: Literal["output_sensitivity"] = "output_sensitivity"
    estimator: Literal["auto", "closed_form", "monte_carlo"] = "auto"
    probe_init: Literal["own", InitScheme] = "standard_normal"
    noise_std: Annotated[float, Field(gt=0)] = 0.1
    n_inputs: Annotated[int, Field(ge=2)] = 128
    inputs: Literal["validation", "train", "gaussian"] = "validation"
    seeds: Positive = 4
    precision: Annotated[float, Field(gt=0)] | None = None
    max_seeds: Positive = 64
    racing: bool = False
    after_softmax: bool = False
    output: Annotated[str | int | None, BeforeValidator(named)] = None
    noise_at: Annotated[str, Field(min_length=1)] | None = None
    reduced: Mapping[str, Any] = field(default_factory=dict)
    metrics: Annotated[
        Literal["auto", "none"] | Annotated[tuple[str, ...], Field(strict=False)], BeforeValidator(_auto_none_or_names)
    ] = "auto"

    @property
    def named_metrics(self) -> tuple[str, ...]:
        """The further measures that are asked for by name; none by default."""
        return self.metrics if isinstance(self.metrics, tuple) else ()

    @model_validator(mode="after")
    def _check_metrics(self) -> ScoreSpec:
        for name in self.named_metrics:
            METRICS.get(name)
        if any(METRICS.get(name).needs_labels for name in self.named_metrics) and self.inputs == "gaussian":
            raise ValueError(
                "needs inputs from the validation or train set for metrics that look at labels; given gaussian"
            )
        return self

    @model_validator(mode="after")
    def _check_estimator(self) -> ScoreSpec:
        given = [f"{key} = {value!r}" for key in ("output", "noise_at") if (value := getattr(self, key)) is not None]
        if given and self.estimator == "closed_form":
            raise ValueError(
                f"needs an estimator that draws networks where output or noise_at is given ({', '.join(given)}); take "
                'estimator = "auto" or "monte_carlo"'
            )
        return self

    @model_validator(mode="after")
    def _check_seeds(self) -> ScoreSpec:
        if (self.precision is not None or self.racing) and not 2 <= self.seeds <= self.max_seeds:
            raise ValueError(
                "needs seeds from 2 (for a standard error) to max_seeds where precision or racing is set; "
                f"given seeds = {self.seeds}, max_seeds = {self.max_seeds}"
            )
        return self
