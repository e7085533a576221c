"""Command line: parsing and printing only."""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from . import results
from .bulk_read import no_collection
from .declarations import bundled
from .display import TerminalProgress, print_out, show_rows
from .errors import InvalidInputError, NasSensError
from .init_schemes import INIT_SCHEMES, InitScheme
from .interrupts import raise_again
from .records import STATUS_OK, TrainedCandidate
from .replay import DEFAULT_RULES
from .replay import replay as replay_rules
from .selection import RULES
from .storage import StudyStorage
from .storage_url import hide_password, redact

# Imports inside commands bring PyTorch along, which takes seconds: `rank`, `report` and `--help` do without it.
Command = Callable[..., None]
WIDE = ("architecture",)


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


storage_options = _options(
    click.option(
        "--storage",
        envvar="OPTUNA_STORAGE",
        metavar="URL",
        help="Database, as an SQLAlchemy URL.  [default: OPTUNA_STORAGE, or sqlite:///nas_sens.db]",
    ),
    click.option(
        "--artifacts",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for trained weights.  [default: beside the SQLite file]",
    ),
)
format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
    help="How to print on stdout.",
)  # fmt: skip
run_options = _options(
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
    click.option("-v", "--verbose", is_flag=True, help="A line on stderr for every candidate scored or trained."),
)
study_options = _options(
    click.option("--n-candidates", type=click.IntRange(min=1), help="Override [search] n_candidates."),
    click.option("--seed", type=click.IntRange(min=0), help="Override [search] seed."),
    click.option("--name", help="Override the study's name."),
    click.option("--full", is_flag=True, help="Take the study at the full size that its file declares in [full]."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nas-sens", prog_name="nas-sens")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Neural architecture search by pre-training output sensitivity.

    Start with:  nas-sens search quickstart

    A STUDY is a TOML file or a bundled name (nas-sens list studies). It is kept in a database under its NAME, where
    every command finds it again. Data go to stdout, progress and messages to stderr.
    """


@cli.command()
@click.argument("study")
@study_options
@click.option("--top-k", type=click.IntRange(min=1), help="Override [select] top_k.")
@click.option("-o", "--report", type=click.Path(path_type=Path, dir_okay=False), default=Path("report.html"),
              show_default=True, help="Where to write the report.")  # fmt: skip
@storage_options
@run_options
@format_option
def search(study: str, n_candidates: int | None, seed: int | None, name: str | None, full: bool, top_k: int | None,
           report: Path, storage: str | None, artifacts: Path | None, device: str, quiet: bool, verbose: bool,
           form: str) -> None:  # fmt: skip
    """Sample, score, select, train and report a STUDY; run it again to resume it."""
    from . import pipeline
    from .study import load_study

    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    spec = pipeline.override(load_study(study, full=full), n_candidates=n_candidates, top_k=top_k, seed=seed, name=name)
    session = pipeline.open_session(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    pipeline.score_candidates(session)
    pipeline.train_selected(session)
    result = results.read_result(session.storage, spec.name)
    path = _write_report(result, report)
    _show_trained(result.trials, form, _title(result))
    where = "" if storage is None else f" --storage '{hide_password(storage)}'"
    progress.message(f"report written to {path}\n\nnext:")
    progress.message(f"  nas-sens export {spec.name} --rank 1 -o my_network{where}   # the best network, ready to use")
    progress.message(f"  nas-sens rank {spec.name} --by val_error{where}             # rank by error instead of loss")
    size = " --full" if full else ""
    progress.message(f"  nas-sens search {study}{size} --top-k {spec.select.top_k + 4}{where}   # train four more")


@cli.command()
@click.argument("study")
@study_options
@storage_options
@run_options
@format_option
def score(study: str, n_candidates: int | None, seed: int | None, name: str | None, full: bool, storage: str | None,
          artifacts: Path | None, device: str, quiet: bool, verbose: bool,
           form: str) -> None:  # fmt: skip
    """Sample and score the candidates of a STUDY without training any."""
    from . import pipeline
    from .study import load_study

    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    spec = pipeline.override(load_study(study, full=full), n_candidates=n_candidates, seed=seed, name=name)
    session = pipeline.open_session(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    pipeline.score_candidates(session)
    _show_scored(results.read_result(session.storage, spec.name), form)
    progress.message(f"\nnext:\n  nas-sens train {spec.name}")


@cli.command()
@click.argument("name")
@click.option("--top-k", type=click.IntRange(min=1), help="Train until so many are selected by the rule.")
@click.option("--control", type=click.IntRange(min=0), help="Train until so many random ones are trained.")
@storage_options
@run_options
@format_option
def train(name: str, top_k: int | None, control: int | None, storage: str | None, artifacts: Path | None, device: str,
          quiet: bool, verbose: bool,
           form: str) -> None:  # fmt: skip
    """Train the next selected candidates of the study NAME, whose candidates are scored."""
    from . import pipeline
    from .study import from_dict

    database = _open(storage, artifacts)
    stored = from_dict(json.loads(database.attributes(name)["study"]))
    spec = pipeline.override(stored, top_k=top_k, control=control)
    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    session = pipeline.open_session(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    pipeline.train_selected(session)
    result = results.read_result(session.storage, name)
    _show_trained(result.trials, form, _title(result))


@cli.command()
@click.argument("name")
@click.option("--by", type=click.Choice(results.RANK_BY),
              help="Figure to rank by, smallest first.  [default: the study's [select] final]")  # fmt: skip
@click.option("--scored", is_flag=True, help="Show the scored candidates instead of the trained ones.")
@click.option("-n", type=click.IntRange(min=1), help="Show only the first so many.")
@storage_options
@format_option
def rank(name: str, by: str | None, scored: bool, n: int | None, storage: str | None, artifacts: Path | None,
         form: str) -> None:  # fmt: skip
    """Show the trained candidates of the study NAME, best first, or the scored ones if none is trained."""
    result = results.read_result(_open(storage, artifacts), name, by=by)
    if scored or not result.trials:
        _show_scored(result, form, n)
    else:
        _show_trained(result.trials[:n], form, _title(result))


@cli.command()
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("report.html"),
              show_default=True, help="The HTML file to write.")  # fmt: skip
@storage_options
def report(name: str, output: Path, storage: str | None, artifacts: Path | None) -> None:
    """Write the report of the study NAME: one HTML file that needs nothing else."""
    database = _open(storage, artifacts)
    with no_collection():  # of a large study there are a million objects to look through, and none is garbage
        print_out(str(_write_report(results.read_result(database, name), output)))


@cli.command()
@click.argument("name")
@click.option("--rank", "rank_", type=click.IntRange(min=1), default=1, show_default=True,
              help="Place in the study's ranking.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option("--onnx", is_flag=True, help="Write model.onnx too; needs the extra nas-sens[onnx].")
@click.option("--license", "licence", default="unknown", show_default=True, help="Licence field of the model card.")
@storage_options
def export(
    name: str, rank_: int, output: Path, onnx: bool, licence: str, storage: str | None, artifacts: Path | None
) -> None:
    """Write a trained network of the study NAME to a folder, ready for use.

    Load it with  torch.export.load("FOLDER/model.pt2").module()  where nas_sens is not installed, with
    nas_sens.load_model("FOLDER"), or, once nas_sens is imported, with
    timm.create_model("local-dir:FOLDER", pretrained=True). FOLDER/README.md is the model card.
    """
    from .trained_models import export_model

    database = _open(storage, artifacts)
    print_out(str(export_model(database, name, output, rank=rank_, onnx=onnx, licence=licence)))


@cli.command()
@click.argument("source")
@click.option("--rules", default=",".join(DEFAULT_RULES), show_default=True, metavar="NAMES",
              help="Rules, or features with a sign: +log10_flops trains the largest first.")  # fmt: skip
@click.option("--budgets", default="5,10,20", show_default=True, metavar="NUMBERS", help="Numbers of trainings.")
@click.option("--repeats", type=click.IntRange(min=2), default=200, show_default=True, help="Random pools.")
@click.option("--pool-share", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True,
              help="Share of all candidates in a pool.")  # fmt: skip
@click.option("--outcome", default="val_error", show_default=True, help="Outcome to make small: a column, or a figure.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of pools and rules.")
@storage_options
@format_option
def replay(source: str, rules: str, budgets: str, repeats: int, pool_share: float, outcome: str, seed: int,
           storage: str | None, artifacts: Path | None, form: str) -> None:  # fmt: skip
    """Replay selection rules where outcomes are known: what would they have found?

    SOURCE is a CSV file (.csv or .csv.gz) with a column "architecture" or "arch", the outcome and features, or the name
    of a study, of which the trained candidates are taken. Regret is the best outcome found minus the best in the pool.
    """
    if source.endswith((".csv", ".csv.gz")):
        from .outcome_table import read_outcome_table

        table = read_outcome_table(source, outcome=outcome)
        candidates, outcomes = list(table.candidates), dict(table.outcomes)
    else:
        candidates, outcomes = results.known_outcomes(_open(storage, artifacts), source, outcome)
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


@cli.command()
@click.argument("model")
@click.option("--data", "data_name", required=True, metavar="NAME",
              help="A data set (nas-sens list data), such as mnist5k, npz:PATH or folder:PATH.")  # fmt: skip
@click.option("--metrics", default="all", show_default=True, metavar="NAMES",
              help="Comma-separated names (nas-sens list metrics).")  # fmt: skip
@click.option("--init", type=click.Choice(INIT_SCHEMES),
              help="Draw the weights anew by this scheme.  [default: keep its weights]")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True,
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
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@format_option
def measure(model: str, data_name: str, metrics: str, init: InitScheme | None, seeds: int, n_inputs: int, seed: int,
            target: str | None, root: str, standardize: bool, device: str, form: str) -> None:  # fmt: skip
    """Measure any network: MODEL is a family with parameters, an exported folder, or code.

    For example fc:depth=4,width=300, my_network, timm:resnet18, package.module:function. A measure whose needs are not
    met says so, and the others still run.
    """
    from .data import DataSpec, load_data
    from .device import resolve_device
    from .identity import make_generator
    from .measurement import measure as measure_network
    from .resolve import resolve_model
    from .subset import part_of

    where = resolve_device(device)
    splits = load_data(DataSpec(name=data_name, target=target, root=root, standardize=standardize))
    generator = make_generator("measured network", seed)
    network = resolve_model(model, input_shape=splits.input_shape, n_outputs=splits.n_outputs, generator=generator)
    x, y = part_of(splits.x_val, splits.y_val, n_inputs, generator=make_generator("measured inputs", seed))
    x, y = x.to(where), y.to(where)
    names = "all" if metrics == "all" else [name.strip() for name in metrics.split(",")]
    found = measure_network(
        network.to(where), x, y if splits.task == "classification" else None, metrics=names, seeds=seeds, init=init,
        generator=make_generator("measures", seed),
    )  # fmt: skip
    rows = [{"metric": m.name, "value": m.value, "stderr": m.stderr, "better": m.direction,
             "milliseconds": m.seconds * 1e3, "problem": m.problem} for m in found]  # fmt: skip
    show_rows(rows, form=form, title=f"{model} on {len(x)} inputs of {data_name}", wide=("problem",))


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535),
              help="Port on 127.0.0.1, 0 for any free one.  [default: 8080, else a free one]")  # fmt: skip
@storage_options
def dashboard(port: int | None, storage: str | None, artifacts: Path | None) -> None:
    """Show all studies in optuna-dashboard, on this machine only, until Ctrl-C.

    The address is printed on stdout; no browser is opened.
    """
    from .dashboard import serve  # brings a web server along, which no other command needs

    def on_ready(url: str) -> None:
        print_out(url)
        sys.stdout.flush()
        click.echo("listening; Ctrl-C stops it", err=True)

    serve(_open(storage, artifacts), port=port, on_ready=on_ready)


@cli.command(name="list")
@click.argument("what", type=click.Choice(["spaces", "studies", "metrics", "records", "data", "families", "rules"]))
@format_option
def list_(what: str, form: str) -> None:
    """Show what there is."""
    if what == "spaces":
        from .space import load_space

        table = {n: load_space(n).description for n in bundled("search_spaces")}
    elif what == "studies":
        from .study import load_study

        table = {n: load_study(n).description for n in bundled("studies")}
    elif what == "metrics":
        from .metrics import metric_names

        table = metric_names()
    elif what == "records":
        from .recordings import recordings

        table = {n: f"{', '.join(r.fields)} ({r.source})" for n, r in recordings().items()}
    elif what == "data":
        from .data import dataset_names

        table = dataset_names()
    elif what == "families":
        from .architectures import families

        table = {n: (f.__doc__ or "").splitlines()[0] for n, f in families().items()}
    else:
        table = {n: r.__doc__ or "" for n, r in RULES.items()}
    show_rows([{"name": n, "description": d} for n, d in table.items()], form=form, wide=("description",))


def _open(storage: str | None, artifacts: Path | None) -> StudyStorage:
    return StudyStorage(results.storage_url(storage), artifacts=artifacts, must_exist=True)


def _write_report(result: results.SearchResult, path: Path) -> Path:
    from .report import write_report  # statistics and figures take a second to import, and few commands need them

    return write_report(
        path, name=result.name, protocol=result.protocol, candidates=result.candidates, trained=result.trials
    )


def _title(result: results.SearchResult) -> str:
    return f"Trained candidates of {result.name!r} by {result.ranked_by}, best first"


def _show_trained(trials: Sequence[TrainedCandidate], form: str, title: str) -> None:
    keys = ("val_loss", "val_error", "test_loss", "test_error", "log10_sensitivity_before", "log10_sensitivity_after")
    if form != "table":
        flat = [t.flat() for t in trials]
        columns = dict.fromkeys(k for row in flat for k in row)
        show_rows([{k: row.get(k) for k in columns} for row in flat], form=form)
        return
    rows = [
        {"rank": i, "architecture": t.description, "params": t.params, "chosen_by": t.chosen_by}
        | {k.replace("log10_sensitivity", "log10 S"): getattr(t, k) for k in keys}
        for i, t in enumerate((t for t in trials if t.is_ok), 1)
    ]
    show_rows(rows, form=form, title=title, wide=WIDE)
    for t in trials:
        if not t.is_ok:
            click.echo(f"{'' if t.is_pruned else 'failed: '}{t.description}: {t.status}", err=True)


def _show_scored(result: results.SearchResult, form: str, n: int | None = None) -> None:
    ok = sorted((c for c in result.candidates if c.is_ok), key=lambda c: (c.log10_sensitivity, c.digest))[:n]
    columns = ("architecture", "params", "flops", "log10_sensitivity", "stderr", "estimator", "digest")
    rows = [{k: getattr(c, k) for k in columns} for c in ok]
    if form == "table":
        rows = [{**r, "architecture": c.description} for r, c in zip(rows, ok, strict=True)]
    left_out = sum(c.status != STATUS_OK for c in result.candidates)
    show_rows(rows, form=form, title=f"Candidates of {result.name!r} by sensitivity, smallest first", wide=WIDE)
    click.echo(f"{len(ok)} candidates shown; {left_out} infeasible or failed ones are not ranked", err=True)


def _without_password(text: str, given: Sequence[str]) -> str:
    """Return a text without the passwords of the storage URLs of the command line and the environment."""
    urls = [os.environ.get("OPTUNA_STORAGE", ""), *(a.removeprefix("--storage=") for a in given)]
    return functools.reduce(redact, (u for u in urls if "://" in u), text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 wrong input, 1 other errors, 130 on Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given[:1]
    # When Python ends, it looks for garbage among all that the libraries made, for half a second and more.
    atexit.register(gc.freeze)
    try:
        with raise_again():
            code = cli.main(args=given, prog_name="nas-sens", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; what was finished is kept, run the same command again to go on", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except NasSensError as error:
        if debug:
            raise
        click.echo(f"nas-sens: error: {error}", err=True)
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)
    except Exception as error:
        if debug:
            raise
        text = _without_password(str(error).strip().partition("\n")[0], given)
        click.echo(f"nas-sens: error: {type(error).__name__}: {text}; nas-sens --debug … shows where", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
