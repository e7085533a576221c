"""PostgreSQL and MariaDB servers of the tests: in a temporary folder, on a free port of this machine, then gone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from nas_sens.storage.drivers import with_driver

PASSWORD = "s3cret"
SILENT: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Server:
    """A server, which may be stopped and started again.

    Args:
        command: Its program with arguments.
        stop: The signal that ends it soon.
        how: More for the process.
    """

    def __init__(self, command: list[Any], *, stop: signal.Signals, **how: Any) -> None:
        self._command, self._signal, self._how = command, stop, how
        self.storage = ""  # URL of a database
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, **self._how, **SILENT)

    def stop(self) -> None:
        self._process.send_signal(self._signal)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def postgresql() -> Iterator[str]:
    """Yield the URL of a database on a server that runs meanwhile."""
    with postgresql_server() as server:
        yield server.storage


@contextmanager
def postgresql_server() -> Iterator[Server]:
    """Yield a server with its URL, which runs meanwhile."""
    pytest.importorskip("psycopg", reason="no psycopg (pip install nas-sens[postgresql])")
    found = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    if found[-1] is None:
        pytest.skip("no PostgreSQL server (apt-get install postgresql)")
    binaries = Path(found[-1]).parent
    with server_folder("postgres") as (folder, user):
        (password := folder / "password").write_text(PASSWORD)
        password.chmod(0o644)
        options = ["--auth=scram-sha-256", f"--pwfile={password}", "--username=nas"]
        data, port = folder / "data", free_port()
        subprocess.run([binaries / "initdb", "-D", data, *options], check=True, cwd=folder, **user, **SILENT)
        command = [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder]
        with running(command, cwd=folder, stop=signal.SIGINT, **user) as server:  # SIGTERM would wait for connections
            server.storage = answering(f"postgresql://nas:{PASSWORD}@127.0.0.1:{port}/postgres")
            yield server


@contextmanager
def mariadb() -> Iterator[str]:
    """Yield the URL of a database on a server that runs meanwhile."""
    pytest.importorskip("pymysql", reason="no PyMySQL (pip install nas-sens[mysql])")
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    program, install = shutil.which("mariadbd", path=path), shutil.which("mariadb-install-db", path=path)
    if program is None or install is None:
        pytest.skip("no MariaDB server (apt-get install mariadb-server)")
    with server_folder("mysql") as (folder, user):
        (first := folder / "first.sql").write_text(
            "CREATE DATABASE nas;\n"  # a line each
            f"CREATE USER 'nas'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO 'nas'@'127.0.0.1';\n"
        )
        first.chmod(0o644)
        data, port = f"--datadir={folder / 'data'}", free_port()
        options = ["--no-defaults", data, "--auth-root-authentication-method=normal"]
        subprocess.run([install, *options], check=True, cwd=folder, **user, **SILENT)
        where = [f"--socket={folder / 's'}", f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]
        command = [program, "--no-defaults", data, *where, f"--init-file={first}"]
        with running(command, cwd=folder, stop=signal.SIGTERM, **user):
            yield answering(f"mysql://nas:{PASSWORD}@127.0.0.1:{port}/nas")


@contextmanager
def server_folder(account: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a folder and how to start processes that own it: as ``account`` if this is root, which servers refuse."""
    user: dict[str, Any] = {}
    # The path of a socket must be short, and pytest's own folders are closed to other accounts.
    with tempfile.TemporaryDirectory(prefix="nas_sens_", dir="/tmp", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            try:
                pwd.getpwnam(account)
            except KeyError:
                pytest.skip(f"the server does not run as root, and there is no account {account!r}")
            user = {"user": account, "group": account, "extra_groups": []}
            shutil.chown(name, account, account)
        yield Path(name), user


@contextmanager
def running(command: list[Any], *, stop: signal.Signals, **how: Any) -> Iterator[Server]:
    server = Server(command, stop=stop, **how)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answering(storage: str) -> str:
    """Return the URL of a server that was just started, when it answers."""
    engine = sqlalchemy.create_engine(with_driver(storage))
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                engine.connect().close()
                return storage
            except sqlalchemy.exc.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    finally:
        engine.dispose()
