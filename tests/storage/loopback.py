"""Servers of tests as processes on free ports of this machine."""

from __future__ import annotations

import socket
import subprocess
import time


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def start_listening(command: list[str], port: int) -> subprocess.Popen[bytes]:
    """Start a server and return when it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as client:  # closed at once: one that stays open would keep a server of one thread busy
            is_there = client.connect_ex(("127.0.0.1", port)) == 0
        if is_there:
            return process
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"{command[:4]} did not start")
