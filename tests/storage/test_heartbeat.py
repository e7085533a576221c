"""The thread that shows that a process still works: there while it is needed, and not after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from nas_sens.storage.heartbeat import Heartbeat
from tests.stored_candidates import new_study, trained


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.01)


def threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name == "nas_sens heartbeat"}


def test_it_beats_while_it_is_needed_and_though_a_beat_fails() -> None:
    beats: list[float] = []
    needed = [True]

    def beat() -> None:
        beats.append(time.monotonic())
        if len(beats) == 2:
            raise ConnectionError

    before = threads()
    heartbeat = Heartbeat(beat, is_needed=lambda: needed[0], seconds=0.01)
    assert not threads() - before
    for _ in range(3):
        heartbeat.start()
    assert len(threads() - before) == 1
    until(lambda: len(beats) >= 5)
    needed[0] = False
    until(lambda: not threads() - before)
    n = len(beats)
    heartbeat.start()
    assert not threads() - before
    needed[0] = True
    heartbeat.start()
    until(lambda: len(beats) > n)
    needed[0] = False
    until(lambda: not threads() - before)


def test_a_storage_has_one_while_something_is_held_or_runs(tmp_path: Path) -> None:
    before = threads()
    storage = new_study(f"sqlite:///{tmp_path}/a.db", n=1, report_seconds=0.02)
    assert not threads() - before
    with storage.leases.hold("study", "create"):
        assert len(threads() - before) == 1
    until(lambda: not threads() - before)
    (source,) = storage.scored("study")
    for how in (storage.put_back, storage.abandon):
        storage.enqueue("study", [trained(source)], seen=storage.trainings("study"))
        job = storage.take("study")
        assert job is not None
        assert len(threads() - before) == 1
        how(job)
        until(lambda: not threads() - before)
