"""What inputs that are wrong come to: exceptions of libraries, tracebacks, hangs, files left behind; none is wanted.

    python benchmarks/fuzz.py             # the committed table
    python benchmarks/fuzz.py --measure   # 20 minutes on two cores

The fuzzers are those of tests/fuzz, which need Hypothesis. What they found before their faults were mended stays in the
result as it is.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import harness

RESULT = harness.RESULTS / "fuzz.json"
# Kind of input to how many, and in a quick run.
KINDS = {"declarations": (10_000, 60), "command lines": (1_000, 6), "databases": (1_000, 4), "files": (500, 4)}


def fuzzers(folder: Path) -> dict[str, tuple[Any, Callable[[Any], str | None]]]:
    """Return by kind of input where inputs are from, and what says what is wrong with what one came to."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    lines, files, declared = (
        importlib.import_module(f"tests.fuzz.{name}") for name in ("command_lines", "damaged_files", "declarations")
    )
    lines.prepared()  # imports what is slow to import, which no deadline may cut in two
    return {
        "declarations": (declared.declared_files(), lambda content: declared.run(content, folder)),
        "command lines": (lines.command_lines(), lines.run),
        "databases": (files.damages(), files.run_database),
        "files": (files.damaged_bytes(), files.run_bytes),
    }


def row_of(kind: str, n: int, start: int, folder: Path) -> dict[str, Any]:
    """Return what ``n`` inputs came to; ``start`` chooses them."""
    inputs, run = fuzzers(folder)[kind]
    began = time.process_time()
    found = importlib.import_module("tests.fuzz.contract").tally(inputs, run, n=n, start=1_000 * start)
    row = {"tried": found.tried, "faults": found.faults.total(), "distinct": len(found.faults), "hangs": found.n_hangs}
    kinds = {"kinds": dict(found.faults)} if found.faults else {}
    return {**row, **kinds, "processor_seconds": round(time.process_time() - began, 1)}


def table(result: Mapping[str, Any]) -> str:
    """Return the lines of a table: what was tried, and what came of it before and after."""
    lines = [f"{'':<16}{'tried':>8}{'faults':>8}{'kinds':>7}{'hangs':>7}"]
    for when in ("before", "after"):
        for kind in KINDS:
            if row := result.get(when, {}).get(kind):
                numbers = f"{row['tried']:>8,}{row['faults']:>8,}{row['distinct']:>7}{row['hangs']:>7}"
                lines.append(f"{kind:<16}{numbers}  {when}")
    return "\n".join(lines)


def measure(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return what was found by kind of input; None if only the committed table is shown."""
    committed = json.loads(RESULT.read_text(encoding="utf-8"))
    if not (arguments.measure or arguments.quick):
        print(table(committed))
        return None
    try:
        importlib.import_module("hypothesis")
    except ImportError:
        sys.exit("fuzz.py: needs Hypothesis (pip install -e '.[dev]')")
    with tempfile.TemporaryDirectory() as name:
        rows = {
            kind: row_of(kind, numbers[arguments.quick], arguments.seed, Path(name)) for kind, numbers in KINDS.items()
        }
    result = {"before": committed["before"], "after": rows}
    print(table(result))
    return result


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--measure", action="store_true", help="try the inputs, and write the result")
    harness.run(parser, measure, quick={})
