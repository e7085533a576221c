"""One copy of the data a machine: shared by real processes, removed by the last one, never waited for."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from nas_sens.data import DataSpec, Splits, load_data
from nas_sens.data.machine_copy import shared_on_this_machine
from nas_sens.data.shared import open_shared

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="every process has its own copy there")
SMAPS = Path("/proc/self/smaps")
MEGABYTES = 128  # beside which what processes allocate themselves is little


class Process:
    """A process of its own that takes the data, says so line by line, and ends when it is let go.

    It is a copy of this one, as it has all libraries; what is run at the end of a process is run at its end.

    Args:
        folder: Where copies lie; None for the folder of this user.
        n: Number of pictures, if not those of the digits.
        fingerprint: Of the data, if it is known beforehand.
        slow: Whether it waits to be told before it is done with loading.
        temporary: Folder for temporary files.
    """

    def __init__(
        self, folder: Path | None, *, n: int = 0, fingerprint: str | None = None, slow: bool = False,
        temporary: Path | None = None,
    ) -> None:  # fmt: skip
        said, say = os.pipe()
        told, tell = os.pipe()
        self._n, self._slow = n, slow
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(said)
                os.close(tell)
                signal.alarm(60)  # whatever it waits for
                atexit._clear()  # what others of this process have registered
                self._say, self._told = os.fdopen(say, "w"), os.fdopen(told)
                if temporary is not None:
                    tempfile.tempdir = str(temporary)
                self._work(folder, fingerprint)
                atexit._run_exitfuncs()
                code = 0
            except BaseException:
                self.say("failed", traceback.format_exc())
            finally:
                os._exit(code)
        os.close(say)
        os.close(told)
        self._said, self._tell = os.fdopen(said), os.fdopen(tell, "w")
        self.said: list[str] = []
        self.code: int | None = None

    def say(self, *what: object) -> None:
        print(*what, file=self._say, flush=True)

    def _work(self, folder: Path | None, fingerprint: str | None) -> None:
        _, before = memory_of_data()
        splits = shared_on_this_machine(
            self._load, fingerprint=fingerprint, folder=folder, on_problem=lambda text: self.say("problem", text)
        )
        splits.x_train.sum(dtype=torch.float64).item()
        self.say("has", splits.fingerprint)
        while self._told.readline() == "share\n":  # processes that begin later have these pipes open, too
            mapped, own = memory_of_data()
            self.say(mapped, own - before)

    def _load(self) -> Splits:
        self.say("loading")
        if self._slow:
            self._told.readline()
        return load(self._n)

    def line(self) -> str:
        line = self._said.readline().rstrip("\n")
        assert line, "it has ended"
        assert not line.startswith("failed"), self._said.read()
        self.said.append(line)
        return line

    def has(self) -> str:
        """Return the fingerprint of the data, when it has them."""
        while not (line := self.line()).startswith("has"):
            pass
        return line.split()[1]

    def tell(self, text: str) -> None:
        self._tell.write(text + "\n")
        self._tell.flush()

    def end(self) -> None:
        self.tell("end")
        assert self.wait() == 0

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)
        self.wait()

    def wait(self) -> int:
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


def load(n: int = 0) -> Splits:
    splits = load_data(DataSpec(name="digits", train_samples=200))
    if not n:
        return splits
    x = torch.arange(n * 64, dtype=torch.float32).reshape(n, 1, 8, 8)
    return replace(splits, x_train=x, y_train=torch.zeros(n, dtype=torch.int64))


def memory_of_data() -> tuple[int, int]:
    """Return this process's share of the memory of copies, and how much it has written to by itself, in kB."""
    mapped = own = 0
    is_copy = False
    for row in SMAPS.read_text().splitlines() if SMAPS.exists() else []:
        key, *values = row.split()
        if "-" in key:  # the first row of a piece of memory
            is_copy = row.endswith((".data", ".data (deleted)"))
        mapped += int(values[0]) if key == "Pss:" and is_copy else 0
        own += int(values[0]) if key == "Private_Dirty:" else 0
    return mapped, own


@contextmanager
def processes(*all_: Process) -> Iterator[tuple[Process, ...]]:
    try:
        yield all_
    finally:
        for p in all_:
            if p.code is None:
                p.signal(signal.SIGKILL)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.data"))


def equal(a: Splits, b: Splits) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def test_the_data_are_those_that_were_loaded_and_go_with_the_process(tmp_path: Path) -> None:
    with processes(Process(tmp_path)) as (first,):
        fingerprint = first.has()
        (copy,) = copies(tmp_path)
        assert equal(open_shared(copy), load()), "bit for bit"
        assert fingerprint == load().fingerprint
        first.end()
    assert files(tmp_path) == []


def test_who_knows_the_fingerprint_need_not_load(tmp_path: Path) -> None:
    with processes(Process(tmp_path)) as (first,):
        fingerprint = first.has()
        with processes(Process(tmp_path, fingerprint=fingerprint), Process(tmp_path)) as (knows, loads):
            assert (knows.has(), loads.has()) == (fingerprint, fingerprint)
            assert (knows.said, loads.said) == ([f"has {fingerprint}"], ["loading", f"has {fingerprint}"])
            first.end()
            assert len(copies(tmp_path)) == 1, "it was removed by who left first"
            knows.end()
            loads.end()
    assert files(tmp_path) == [], "the last one removes everything"


def test_two_that_start_at_once_write_once_and_neither_waits(tmp_path: Path) -> None:
    """Both have looked, found nothing and loaded before either writes."""
    with processes(Process(tmp_path, slow=True, fingerprint="f" * 16), Process(tmp_path, slow=True)) as (a, b):
        assert (a.line(), b.line()) == ("loading", "loading")
        a.tell("loaded")
        fingerprint = a.has()
        written = copies(tmp_path)[0].stat()
        b.tell("loaded")
        assert b.has() == fingerprint, "the first one still lives"
        (copy,) = copies(tmp_path)
        assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
        a.end()
        b.end()
    assert files(tmp_path) == []


def test_two_that_know_the_data_and_start_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with processes(Process(tmp_path)) as (first,):
        fingerprint = first.has()
        first.end()
    starters = [Process(tmp_path, slow=True, fingerprint=fingerprint) for _ in range(2)]
    with processes(*starters):
        assert [p.line() for p in starters] == ["loading"] * 2
        for p in starters:  # one after the other: the second has not found the copy when it began to load
            p.tell("loaded")
            assert p.has() == fingerprint
        assert len(copies(tmp_path)) == 1
        for p in starters:
            p.end()
    assert files(tmp_path) == []


def test_a_race_of_many_starters_leaves_one_copy_and_then_none(tmp_path: Path) -> None:
    starters = [Process(tmp_path) for _ in range(8)]
    with processes(*starters):
        assert len({p.has() for p in starters}) == 1
        assert len(copies(tmp_path)) == 1
        for p in starters:
            p.tell("end")  # all leave at once
        assert [p.wait() for p in starters] == [0] * 8
    assert files(tmp_path) == []


def test_who_is_killed_breaks_nothing(tmp_path: Path) -> None:
    with processes(Process(tmp_path)) as (first,):
        fingerprint = first.has()
        first.signal(signal.SIGKILL)
    assert len(copies(tmp_path)) == 1, "it is left over"
    (tmp_path / f"{copies(tmp_path)[0].name}.1.part").write_bytes(b"half")  # as is what was being written
    with processes(Process(tmp_path, fingerprint=fingerprint)) as (second,):
        assert second.has() == fingerprint
        assert second.said == [f"has {fingerprint}"], "and used by the next one"
        second.end()
    assert files(tmp_path) == [], "and removed by it"


def test_a_lock_of_a_killed_writer_is_nobodys(tmp_path: Path) -> None:
    with processes(Process(tmp_path)) as (first,):
        fingerprint = first.has()
        first.end()
    with processes(Process(tmp_path, fingerprint=fingerprint, slow=True)) as (writer,):
        assert writer.line() == "loading"
        writer.signal(signal.SIGKILL)
    with processes(Process(tmp_path, fingerprint=fingerprint)) as (second,):
        assert second.has() == fingerprint
        second.end()
    assert files(tmp_path) == []


@pytest.mark.parametrize("harm", ["cut", "empty", "text"])
def test_a_damaged_copy_is_replaced_beside_those_that_have_it(tmp_path: Path, harm: str) -> None:
    with processes(Process(tmp_path)) as (first,):
        fingerprint = first.has()
        (copy,) = copies(tmp_path)
        content = copy.read_bytes()
        copy.unlink()  # the first one keeps what it has open
        copy.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"no data"}[harm])
        with processes(Process(tmp_path, fingerprint=fingerprint)) as (second,):
            assert second.has() == fingerprint, "and does not wait for the first one, which still lives"
            assert second.said == ["loading", f"has {fingerprint}"], "no problem is told"
            assert open_shared(copy).fingerprint == fingerprint
            second.end()
        first.end()
    assert files(tmp_path) == []


def test_other_data_have_a_copy_of_their_own(tmp_path: Path) -> None:
    with processes(Process(tmp_path), Process(tmp_path, n=50)) as (a, b):
        assert a.has() != b.has()
        assert len(copies(tmp_path)) == 2
        a.end()
        assert len(copies(tmp_path)) == 1
        assert open_shared(copies(tmp_path)[0]).x_train.shape[0] == 50
        b.end()
    assert files(tmp_path) == []


def test_a_fingerprint_that_the_data_do_not_have_is_not_believed(tmp_path: Path) -> None:
    with processes(Process(tmp_path, fingerprint="0" * 16)) as (first,):
        fingerprint = first.has()
        assert fingerprint != "0" * 16
        assert copies(tmp_path)[0].name.startswith(fingerprint)
        first.end()
    assert files(tmp_path) == []


def test_a_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder of another user")
    (theirs := tmp_path / f"nas_sens_data_{os.getuid()}").mkdir()
    os.chown(theirs, 12345, 12345)
    with processes(Process(None, temporary=tmp_path)) as (first,):
        fingerprint = first.has()
        assert first.said == [
            f"problem this process has its own copy of the data: {theirs} is another user's", "loading",
            f"has {fingerprint}",
        ]  # fmt: skip
        first.end()
    assert files(theirs) == []


def test_ones_own_folder_is_closed_to_others(tmp_path: Path) -> None:
    with processes(Process(None, temporary=tmp_path)) as (first,):
        first.has()
        (mine,) = tmp_path.iterdir()
        assert mine.stat().st_mode & 0o777 == 0o700
        assert len(copies(mine)) == 1
        first.end()
    assert files(mine) == []


def test_where_a_file_is_in_the_way_the_process_has_its_own_copy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with processes(Process(tmp_path / "file")) as (first,):
        first.has()
        problem, loading, _ = sorted(first.said, reverse=True)
        assert problem.startswith("problem this process has its own copy of the data: ")
        assert loading == "loading", "and is not loaded twice"
        first.end()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}M", "none", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_where_there_is_no_room_the_process_has_its_own_copy(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 4) as folder, processes(Process(folder, n=40_000)) as (first,):
        first.has()
        assert [s.split()[0] for s in first.said] == ["loading", "problem", "has"], "and is not loaded twice"
        assert "TMPDIR" in first.said[1]
        first.end()
        assert files(folder) == []


def test_a_copy_that_is_removed_beside_who_has_it_is_written_anew(tmp_path: Path) -> None:
    """As those who clean folders of temporary files do."""
    with processes(Process(tmp_path)) as (first,):
        fingerprint = first.has()
        for path in tmp_path.iterdir():
            path.unlink()
        with processes(Process(tmp_path, fingerprint=fingerprint)) as (second,):
            assert second.has() == fingerprint
            second.end()
        first.end()
    assert files(tmp_path) == []


@pytest.mark.skipif(not SMAPS.exists(), reason="no /proc/self/smaps")
def test_all_have_one_copy_together(tmp_path: Path) -> None:
    with processes(Process(tmp_path, n=MEGABYTES * 2**20 // 4 // 64)) as (first,):
        fingerprint = first.has()
        others = [Process(tmp_path, fingerprint=fingerprint) for _ in range(4)]
        with processes(*others):
            assert {p.has() for p in others} == {fingerprint}
            first.end()
            for p in others:
                p.tell("share")
            shares = [[int(kb) / 1024 for kb in p.line().split()] for p in others]
            for p in others:
                p.end()
    assert files(tmp_path) == []
    assert sum(mapped for mapped, _ in shares) == pytest.approx(MEGABYTES, rel=0.1)
    assert all(mapped == pytest.approx(MEGABYTES / 4, rel=0.1) for mapped, _ in shares)
    assert all(own < MEGABYTES / 4 for _, own in shares), "a copy of its own"


def test_a_signal_that_ends_a_process_ends_its_hold(tmp_path: Path) -> None:
    with processes(Process(tmp_path), Process(tmp_path)) as (a, b):
        a.has()
        b.has()
        a.signal(signal.SIGTERM)
        b.end()
    assert files(tmp_path) == []
