"""What all benchmarks share: their command line, the record of what they ran on, and where their results go.

A script makes a :class:`Parser`, adds its own options, and gives :func:`run` a function from the parsed options to its
result. What a quick run makes smaller is an option or one of ``set_defaults``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch

import nas_sens as ns
from nas_sens.cli.display import TerminalProgress
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import make_generator

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")
PACKAGES = ("numpy", "scipy", "scikit-learn", "optuna", "sqlalchemy")
T = TypeVar("T")
Measure = Callable[[argparse.Namespace], "dict[str, Any] | None"]


class Parser(argparse.ArgumentParser):
    """The options of all benchmarks; what is wrong is said in one line, with exit code 2.

    Args:
        script: ``__file__`` of the benchmark.
        description: ``__doc__`` of the benchmark.
    """

    def __init__(self, script: str, description: str | None) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=Path(script).name, description=description, formatter_class=form)
        self.needed: dict[str, str] = {}
        self.add_argument("--quick", action="store_true", help="only see in seconds that all works; print the result")
        self.add_argument("--output", type=_json_file, help="JSON, tables beside it; a file of results/ if left out")
        self.add_argument("--seed", type=int, default=0, help="other draws; 0 has those of the committed results")
        self.set_defaults(device=CPU)

    def add_file(self, name: str, what: str, *, is_needed: bool = True, default: Path | None = None) -> None:
        """Add an option for a file from elsewhere; a script ends before it begins if one that it needs is missing."""
        self.add_argument(f"--{name}", type=_existing_file, metavar="FILE", default=default, help=what)
        if is_needed and default is None:
            self.needed[name] = what

    def parse(self, quick: Mapping[str, Any]) -> argparse.Namespace:
        """Return the options; a quick run has its own defaults."""
        arguments = self.parse_args()
        if arguments.quick:
            self.set_defaults(**quick)
            arguments = self.parse_args()
        missing = [f"--{name} ({what})" for name, what in self.needed.items() if getattr(arguments, name) is None]
        if missing:
            self.error(f"needs {', '.join(missing)}")
        return arguments

    def error(self, message: str) -> NoReturn:
        """End with the one line, without usage."""
        self.exit(2, f"{self.prog}: {message}\n")


def _existing_file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


def checkout(text: str) -> Path:
    """Return a folder that holds a revision of the package, to be measured beside the present one."""
    if not (Path(text) / "nas_sens").is_dir():
        raise argparse.ArgumentTypeError(f"must be a checkout that holds nas_sens; given {text}")
    return Path(text)


def _json_file(text: str) -> Path:
    if not text.endswith(".json"):  # tables have the same stem
        raise argparse.ArgumentTypeError(f"must end in .json; given {text}")
    return Path(text)


def run(
    parser: Parser,
    measure: Measure,
    *,
    quick: Mapping[str, Any],
    threads: int | None = None,
    name: str | None = None,
) -> None:
    """Measure, and write the result with a record of the environment.

    A quick run prints the result on stdout, all else on stderr, and leaves files only where ``--output`` says.

    Args:
        parser: The script's options.
        measure: Returns the result, or None if nothing is to be written. ``arguments.output`` is where it will be. An
            environment in it takes the place of the record.
        quick: Defaults of a quick run.
        threads: PyTorch's threads; its own choice if None.
        name: The result's name, if not the script's.
    """
    arguments = parser.parse(quick)
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(arguments.seed)
    with contextlib.ExitStack() as stack:
        folder = RESULTS
        if arguments.quick:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if arguments.output is None:  # that of another device lies beside that of the CPU
            suffix = "" if arguments.device.type == "cpu" else f"_{arguments.device.type}"
            arguments.output = folder / f"{name or Path(parser.prog).stem}{suffix}.json"
        began = time.perf_counter()
        try:
            result = measure(arguments)
        except InvalidInputError as error:  # such as a data set that is not there
            parser.error(f"{error}; see --help")
        if result is None:
            return
        record = environment(arguments.device) | {"seconds": round(time.perf_counter() - began, 1)}
        marks = {"seed": arguments.seed} | ({"quick": True} if arguments.quick else {})  # no quick run is a measurement
        text = json.dumps({"environment": record, **marks, **result}, indent=2, sort_keys=True, ensure_ascii=False)
        arguments.output.write_text(text + "\n", encoding="utf-8")
    print(text if arguments.quick else f"written to {arguments.output}")


def environment(device: torch.device = CPU) -> dict[str, Any]:
    """Return versions, processor, device, PyTorch's threads, the code's revision and the date."""
    return {
        **{"python": platform.python_version(), "torch": torch.__version__},
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        **{"platform": platform.platform(), "machine": platform.machine(), "cpu": _cpu(), "cores": os.cpu_count()},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "revision": _revision(),
        "date": datetime.date.today().isoformat(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _revision() -> str | None:
    """Return the commit, with "-dirty" behind it if files differ from it; None outside of a repository."""
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def generator(*key: str | int, seed: int, device: torch.device = CPU) -> torch.Generator:
    """Return the generator of a purpose; with seed 0 it is the one of the committed results."""
    return make_generator(*key, *([seed] if seed else []), device=device)


def search(study: ns.StudySpec, *, seed: int) -> ns.SearchResult:
    """Return the result of a whole search, of which nothing else is kept."""
    with tempfile.TemporaryDirectory() as folder:
        return ns.search(study, seed=seed, storage=f"sqlite:///{folder}/study.db", progress=TerminalProgress())


def as_they_end(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], *, processes: int) -> Iterator[T]:
    """Yield what a function of a script returns for each job as it ends; in this process if there is to be one."""
    if processes == 1:
        yield from (function(*job) for job in jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(function, *job) for job in jobs]):
            yield future.result()
