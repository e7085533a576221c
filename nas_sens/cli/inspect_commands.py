"""Commands that look at networks, tables and what there is."""

from __future__ import annotations

from typing import Any

import click

from ..core.declarations import bundled
from ..core.errors import InvalidInputError
from ..core.figures import OUTCOMES, Objective
from ..core.init_schemes import INIT_SCHEMES, InitScheme
from ..results.search_result import read_result
from ..selection import RULES
from ..selection.candidates import Candidate
from ..selection.replay import DEFAULT_RULES
from ..selection.replay import replay as replay_rules
from ..storage.study_storage import StudyStorage
from ..storage.url import storage_url
from ..study.select_spec import objective_of
from . import completion
from .display import show_rows
from .options import DEVICE_HELP, Range, format_option, optuna_option, storage_options
from .output import open_storage


@click.command()
@click.argument("model", shell_complete=completion.networks)
@click.option("--data", "data_name", required=True, metavar="NAME", shell_complete=completion.data_sets,
              help="A data set (nas-sens list data), such as mnist5k, npz:PATH or folder:PATH.")  # fmt: skip
@click.option("--metrics", default="all", show_default=True, metavar="NAMES",
              shell_complete=completion.metrics,
              help="Comma-separated names (nas-sens list metrics).")  # fmt: skip
@click.option("--init", type=click.Choice(INIT_SCHEMES),
              help="Draw the weights anew by this scheme.  [default: keep its weights]")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, 10_000), default=1, show_default=True,
              help="Random networks; more than one needs --init.")  # fmt: skip
@click.option(
    "--n-inputs",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Validation inputs, all classes in proportion.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of inputs, weights and noise."
)
@click.option("--target", help="Column to predict, for csv: and hf: data.")
@click.option("--root", default="data", show_default=True, help="Folder of downloaded data sets.")
@click.option("--standardize", is_flag=True, help="Standardise the inputs, as the network was trained with.")
@click.option("--output", metavar="WHICH", help="Which of several outputs: a key, an index, or module:function.")
@click.option("--noise-at", metavar="MODULE", help="Module of the network behind which noise enters, as for tokens.")
@click.option("--device", default="auto", show_default=True, help=DEVICE_HELP)
@format_option
def measure(model: str, data_name: str, metrics: str, init: InitScheme | None, seeds: int, n_inputs: int, seed: int,
            target: str | None, root: str, standardize: bool, output: str | None, noise_at: str | None, device: str,
            form: str) -> None:  # fmt: skip
    """Measure any network: MODEL is a family with parameters, an exported folder, or code.

    For example fc:depth=4,width=300, my_network, timm:resnet18, package.module:function; modules in the working
    directory are found. A measure whose needs are not met says so, and the others still run.
    """
    import torch

    from ..core.device import resolve_device
    from ..core.identity import make_generator
    from ..core.inputs import mapped, n_rows
    from ..core.outputs import output_of
    from ..data import DataSpec, load_data
    from ..data.subset import part_of
    from ..metrics._trial import network_problem
    from ..metrics.measurement import measure as measure_network
    from ..models.resolve import resolve_model

    where = resolve_device(device)
    splits = load_data(DataSpec(name=data_name, target=target, root=root, standardize=standardize))
    generator = make_generator("measured network", seed)
    network = resolve_model(model, input_shape=splits.input_shape, n_outputs=splits.n_outputs, generator=generator,
                            must_run=False)  # fmt: skip
    inputs = splits.x_val if splits.x_probe is None else splits.x_probe
    labels = splits.y_val if splits.x_probe is None else torch.zeros(n_rows(inputs), dtype=torch.long)  # of no class
    x, y = part_of(inputs, labels, n_inputs, generator=make_generator("measured inputs", seed))
    x, y = mapped(lambda t: t.to(where), x), y.to(where)
    has_classes = splits.task == "classification" and splits.x_probe is None
    which = output_of(int(output) if output and output.isdigit() else output)
    names = "all" if metrics == "all" else [name.strip() for name in metrics.split(",")]
    found = measure_network(
        network.to(where), x, y if has_classes else None, metrics=names, seeds=seeds, init=init,
        generator=make_generator("measures", seed), output=which, noise_at=noise_at,
    )  # fmt: skip
    if all(m.value is None for m in found) and (problem := network_problem(network, x, which)):
        raise InvalidInputError(f"no measure of {model} can be taken: {problem}")
    rows = [{"metric": m.name, "value": m.value, "stderr": m.stderr, "better": m.direction,
             "milliseconds": m.seconds * 1e3, "problem": m.problem} for m in found]  # fmt: skip
    show_rows(rows, form=form, title=f"{model} on {n_rows(x)} inputs of {data_name}", wide=("problem",))


@click.command()
@click.argument("source", shell_complete=completion.stored_studies)
@click.option("--rules", default=",".join(DEFAULT_RULES), show_default=True, metavar="NAMES",
              shell_complete=completion.rules,
              help="Rules, or features with a sign: +log10_flops trains the largest first.")  # fmt: skip
@click.option("--budgets", default="5,10,20", show_default=True, metavar="NUMBERS", help="Numbers of trainings.")
@click.option("--repeats", type=click.IntRange(min=2), default=200, show_default=True, help="Random pools.")
@click.option("--pool-share", type=Range(0, 1, min_open=True), default=0.5, show_default=True,
              help="Share of all candidates in a pool.")  # fmt: skip
@click.option("--outcome", metavar="NAME",
              help="Outcome to make better: a column (less is better), a figure, an objective."
              "  [default: val_error, the study's own target, or its first objective]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of pools and rules.")
@optuna_option
@storage_options
@format_option
def replay(source: str, rules: str, budgets: str, repeats: int, pool_share: float, outcome: str | None, seed: int,
           is_optuna: bool, storage: str | None, artifacts: str | None, form: str) -> None:  # fmt: skip
    """Replay selection rules where outcomes are known: what would they have found?

    SOURCE is a CSV file (.csv or .csv.gz) with a column "architecture" or "arch", the outcome and features, or the name
    of a study, of which the trained candidates are taken; with --optuna, of an Optuna study of your own. Regret is the
    best outcome found minus the best in the pool.
    """
    if is_optuna:
        from ..own_study.as_outcomes import optuna_outcomes

        candidates, outcomes, n_left_out = optuna_outcomes(storage_url(storage), source, outcome)
        if n_left_out:
            click.echo(f"{n_left_out} scored trials without a final value are left out", err=True)
    elif source.endswith((".csv", ".csv.gz")):
        from ..selection.outcome_table import read_outcome_table

        table = read_outcome_table(source, outcome=outcome or "val_error")
        candidates, outcomes = list(table.candidates), dict(table.outcomes)
    else:
        candidates, outcomes = known_outcomes(open_storage(storage, artifacts), source, outcome)
    numbers = [n.strip() for n in budgets.split(",")]
    if not all(n.isdigit() for n in numbers):
        raise InvalidInputError(f"--budgets must be whole numbers with commas between; given {budgets!r}")
    found = replay_rules(
        candidates, outcomes, rules=[r.strip() for r in rules.split(",")], budgets=[int(n) for n in numbers],
        repeats=repeats, pool_share=pool_share, seed=seed,
    )  # fmt: skip
    rows = [{"rule": r.rule, "trainings": r.budget}
            | {f"{name}{end}": getattr(getattr(r, name), key) for name in ("regret", "regret_sd", "rank")
               for end, key in (("", "estimate"), (" low", "low"), (" high", "high"))} for r in found]  # fmt: skip
    size = found[0].pool_size if found else 0
    show_rows(rows, form=form, title=f"{source}: {repeats} random pools of {size} candidates; 95 % intervals")


@click.command(name="list")
@click.argument(
    "what", type=click.Choice(["spaces", "studies", "metrics", "recordings", "data", "families", "samplers", "rules"])
)
@format_option
def list_(what: str, form: str) -> None:
    """Show what there is."""
    if what == "spaces":
        from ..study.search_space import load_space

        table = {n: load_space(n).description for n in bundled("search_spaces")}
    elif what == "studies":
        from ..study.load import load_study

        table = {n: load_study(n).description for n in bundled("studies")}
    elif what == "metrics":
        from ..metrics import metric_names

        table = metric_names()
    elif what == "recordings":
        from ..recordings import recordings

        table = {n: f"{', '.join(r.fields)} ({r.source})" for n, r in recordings().items()}
    elif what == "data":
        from ..data import dataset_names

        table = dataset_names()
    elif what == "families":
        from ..architectures import families

        table = {n: first_line_of(f) for n, f in families().items()}
    elif what == "samplers":
        from ..study.sampler import SAMPLERS

        table = {n: s.description or "" for n, s in SAMPLERS.table().items()}
    else:
        table = {n: r.__doc__ or "" for n, r in RULES.items()}
    rows = [{"name": n, "description": "" if d is None else str(d)} for n, d in table.items()]  # of plug-ins, any thing
    show_rows(rows, form=form, wide=("description",))


def first_line_of(thing: Any) -> str:
    """Return the first line of a docstring; "" if there is none, or it says nothing."""
    text = vars(thing).get("__doc__")  # not that of a class which it is made from
    return next(iter(text.strip().splitlines()), "") if isinstance(text, str) else ""


def known_outcomes(storage: StudyStorage, name: str, outcome: str | None) -> tuple[list[Candidate], dict[str, float]]:
    """Return the trained candidates of a study as selection sees them, and digest to one of their figures.

    Less of it is better: one of which more is has its sign turned.

    Raises:
        InvalidInputError: There is no such study or figure.
    """
    from ..selection.features import selection_features

    result = read_result(storage, name)
    trained = [t for t in result.trials if t.is_ok]
    target = objective_of(result.protocol)
    objective = Objective(outcome) if outcome in OUTCOMES else target
    if outcome is None and target.name in OUTCOMES:
        objective = Objective("val_error")
    valid = dict.fromkeys([*OUTCOMES, target.name])
    if outcome is not None and outcome not in valid:
        raise InvalidInputError(f"the outcome of this study must be one of {', '.join(valid)}; given {outcome!r}")
    # A training of somebody's own has only the figures that it was told.
    figures = {t.digest: t.figure(objective.name) for t in trained}
    outcomes = {digest: objective.as_loss(figure) for digest, figure in figures.items() if figure is not None}
    return [selection_features(c) for c in result.candidates if c.digest in outcomes], outcomes
