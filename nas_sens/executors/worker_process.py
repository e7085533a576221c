"""The process of a local worker: its task comes as one line on stdin, and it ends when stdin does."""

from __future__ import annotations

import _thread
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from ..core.errors import InvalidInputError, NasSensError, UserCodeError
from ..core.interrupts import INTERRUPTED, end_process, raise_again
from ..core.secrets import hidden_passwords
from .base import Task

# Exit codes beside 0, which is done, and INTERRUPTED.
MORE, REFUSED, FAILED = 75, 2, 1
STOP_SECONDS = 20.0  # for giving back what a worker has in hand


def to_line(task: Task) -> str:
    """Return a task as one line."""
    return json.dumps({**vars(task), "arguments": dict(task.arguments), "log": str(task.log)}) + "\n"


def from_line(line: str) -> Task:
    """Return the task of a line."""
    values: dict[str, Any] = json.loads(line)
    return Task(**{**values, "log": Path(values["log"])})


def main() -> None:
    """Do the task on stdin, and exit with what it came to."""
    task = from_line(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, name="nas_sens parent", daemon=True).start()
    with hidden_passwords(v for v in task.arguments.values() if isinstance(v, str)):
        sys.exit(_run(task))


def _run(task: Task) -> int:
    try:
        with raise_again():
            is_done = task.run()
        return 0 if is_done else MORE
    except KeyboardInterrupt:
        return INTERRUPTED
    except NasSensError as error:
        if isinstance(error, UserCodeError):
            sys.stderr.write(error.traceback)
        sys.stderr.write(f"nas-sens: error: {error}\n")
        return REFUSED if isinstance(error, InvalidInputError) else FAILED
    except Exception:  # told here, where passwords are hidden
        traceback.print_exc()
        return FAILED


def _end_with_stdin() -> None:
    """Interrupt the work when whoever started this process is gone or asks for it."""
    sys.stdin.read()
    _thread.interrupt_main()
    time.sleep(STOP_SECONDS)
    end_process(f"it was told to end, and had not ended after {STOP_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
