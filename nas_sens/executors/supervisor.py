"""Workers looked after: started, watched, started again when they were lost, stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..core.errors import InvalidInputError, WorkerError
from .base import Ended, Engine, Running, Task

MAX_RESTARTS = 5  # of each worker that was lost
LAST_SECONDS = 20.0  # for the others to end, when one has found that nothing is left


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
    end = math.inf
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
                if ended.how == "done":
                    end = min(end, time.monotonic() + LAST_SECONDS)
                elif not is_done and (ended.how == "more" or n_lost[task] <= max_restarts):
                    running[task] = engine.start(task)
            on_poll()
            if time.monotonic() > end:
                break  # the others wait for a place to run
            if running:
                time.sleep(poll_seconds)
    finally:
        with ThreadPoolExecutor(max(1, len(running))) as pool:  # each may take its time
            stopped = [pool.submit(worker.stop) for worker in running.values()]
        for task in running:
            on_ended(task, Ended(how="stopped"))
        engine.close()
        for stop in stopped:
            stop.result()
    if not is_done:
        raise WorkerError(f"all {len(tasks)} workers were lost {max_restarts + 1} times; the last one: {last}")
