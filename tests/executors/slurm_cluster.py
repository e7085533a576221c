"""A SLURM cluster of one node on this machine: its daemons in a temporary folder, on free ports, then gone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy

from tests.databases.servers import free_port, mariadb, running

_PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
KILL_WAIT = 30  # seconds between SIGTERM and SIGKILL, as SLURM has it if nobody says otherwise
_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait={kill_wait}
MinJobAge=300
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_ACCOUNTING = """
AuthType=auth/none
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={port}
StorageUser={user}
StoragePass={password}
StorageLoc=accounts
"""


class Cluster:
    """What is asked of a cluster that runs.

    Args:
        folder: Where its files lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def run(self, *command: str) -> str:
        """Return what one of SLURM's commands prints."""
        environment = {**os.environ, **self.environment}
        found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def jobs(self, folder: Path | None = None) -> list[str]:
        """Return the identifiers of the jobs submitted in a folder that have not ended, the first one first."""
        rows = [row.split(maxsplit=1) for row in self.run("squeue", "-h", "-o", "%i %Z").splitlines()]
        return sorted((job for job, place in rows if folder is None or place == str(folder)), key=int)

    def process(self, job: str) -> int:
        """Return the process of submitit that a job runs."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().split(b"\0")
                is_it = b"submitit.core._submit" in command and b"python" in command[0]  # not srun, which starts it
                if is_it and f"SLURM_JOB_ID={job}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    return int(folder.name)
        raise LookupError(f"no process of job {job}")


@contextmanager
def slurm() -> Iterator[Cluster]:
    """Yield a cluster that runs meanwhile."""
    programs = {name: shutil.which(name, path=_PATH) for name in ("slurmctld", "slurmd", "slurmdbd")}
    if None in programs.values():
        pytest.skip("no SLURM (apt-get install slurm-wlm slurmdbd)")
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons must be root's")
    with ExitStack() as stack:
        database = sqlalchemy.engine.make_url(stack.enter_context(mariadb()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nas_sens_slurm_")))
        cluster, accounting_port = Cluster(folder), free_port()
        host = socket.gethostname().partition(".")[0]
        (folder / "slurm.conf").write_text(
            _CONF.format(
                host=host, folder=folder, port=free_port(), node_port=free_port(),
                accounting_port=accounting_port, kill_wait=KILL_WAIT,
            )
        )  # fmt: skip
        (accounting := folder / "slurmdbd.conf").write_text(
            _ACCOUNTING.format(
                host=host, folder=folder, accounting_port=accounting_port, port=database.port, user=database.username,
                password=database.password,
            )
        )  # fmt: skip
        accounting.chmod(0o600)
        (folder / "state").mkdir()
        environment = {**os.environ, **cluster.environment}
        for name, sign in (("slurmdbd", "sacctmgr"), ("slurmctld", "scontrol"), ("slurmd", "sinfo")):
            stack.enter_context(running([programs[name], "-D"], stop=signal.SIGTERM, env=environment))
            _wait_until(cluster, sign)
        stack.callback(_end_jobs, cluster)
        yield cluster


_SIGNS = {
    "sacctmgr": (["sacctmgr", "-i", "add", "cluster", "tests"], "tests"),
    "scontrol": (["scontrol", "ping"], "UP"),
    "sinfo": (["sinfo", "-h", "-o", "%t"], "idle"),
}


def _wait_until(cluster: Cluster, sign: str) -> None:
    """Wait until a daemon answers."""
    command, expected = _SIGNS[sign]
    end = time.monotonic() + 90
    while True:
        try:
            if expected in (found := cluster.run(*command)):
                return
        except (AssertionError, subprocess.TimeoutExpired) as error:
            found = str(error)
        if time.monotonic() > end:
            logs = "".join(f"{p.name}: {p.read_text()[-500:]}\n" for p in cluster.folder.glob("*.log"))
            raise TimeoutError(f"{command} says {found}; {logs}")
        time.sleep(0.5)


def _end_jobs(cluster: Cluster) -> None:
    """Kill all jobs, or their processes would outlive the daemons."""
    if jobs := cluster.jobs():
        for command in (["scancel", "--signal=KILL", "--full", *jobs], ["scancel", *jobs]):
            subprocess.run(command, env={**os.environ, **cluster.environment}, capture_output=True, timeout=60)
        end = time.monotonic() + 60
        while cluster.jobs() and time.monotonic() < end:
            time.sleep(0.5)
