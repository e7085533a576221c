"""Workers looked after: started, watched, started again when they were lost, stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..core.errors import InvalidInputError, WorkerError
from .base import Ended, Engine, Running, Task

MAX_RESTARTS = 5  # of each worker that was lost


def supervise(
    engine: Engine,
    tasks: Sequence[Task],
    *,
    on_ended: Callable[[Task, Ended], None],
    on_poll: Callable[[], None],
    poll_seconds: float,
    max_restarts: int = MAX_RESTARTS,
) -> None:
    """Run workers until nothing is left to do.

    Args:
        engine: What places them.
        tasks: One a worker.
        on_ended: Called with every worker that has ended, before another one takes its place: what it left behind is
            given up.
        on_poll: Called every now and then.
        poll_seconds: How often.
        max_restarts: How often a worker is started again that was lost.

    Raises:
        InvalidInputError: What they were told is wrong.
        WorkerError: All of them were lost, more often than they are started again.
    """
    running: dict[Task, Running] = {}
    n_lost = dict.fromkeys(tasks, 0)
    last = ""
    is_done = False
    try:
        for task in tasks:
            running[task] = engine.start(task)
        while running:
            for task, worker in list(running.items()):
                if (ended := worker.poll()) is None:
                    continue
                del running[task]
                on_ended(task, ended)
                last = ended.text or last
                is_done |= ended.how == "done"
                if ended.how == "refused":
                    raise InvalidInputError(ended.text)
                n_lost[task] += ended.how == "lost"
                if ended.how == "more" or (ended.how == "lost" and n_lost[task] <= max_restarts):
                    running[task] = engine.start(task)
            on_poll()
            if running:
                time.sleep(poll_seconds)
    finally:
        for task, worker in running.items():
            worker.stop()
            on_ended(task, Ended(how="stopped"))
        engine.close()
    if not is_done:
        raise WorkerError(f"all {len(tasks)} workers were lost {max_restarts + 1} times; the last one: {last}")
