"""The command that looks whether all that a search needs is in order on this machine."""

from __future__ import annotations

import sys

import click

from ..core.text import printable
from ..storage.url import storage_url
from .display import print_out, show_rows
from .options import DEVICE_HELP, format_option, storage_options


@click.command()
@click.option("--device", default="auto", show_default=True, help=DEVICE_HELP)
@storage_options
@format_option
def doctor(device: str, storage: str | None, artifacts: str | None, form: str) -> None:
    """Check versions, device, threads, database, artifacts and cache of this machine.

    What is not in order has a line that says how it is mended, and the exit code is 1. Nothing is changed; of artifacts
    in a bucket a small file is written and removed.
    """
    from .health import examine

    findings = list(examine(storage=storage_url(storage), artifacts=artifacts, device=device))
    if form != "table":
        show_rows([{"check": f.check, "ok": f.is_ok, "found": f.found, "mend": f.mend} for f in findings], form=form)
    else:
        width = max(len(f.check) for f in findings)
        for f in findings:
            print_out(printable(f"{'ok' if f.is_ok else 'NO':<4}{f.check:<{width}} {f.found}"))
            if f.mend:
                print_out(printable(f"    {'':<{width}} mend: {f.mend}"))
    sys.exit(0 if all(f.is_ok for f in findings) else 1)
