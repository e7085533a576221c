"""optuna-dashboard on a storage with its artifacts, on this machine only unless told otherwise."""

from __future__ import annotations

import errno
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from types import FrameType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ..core.errors import InvalidInputError
from ..storage.study_storage import StudyStorage
from .artifacts_of_all import ArtifactsOfAll
from .door import Door
from .excerpt import excerpt_of

HOST = "127.0.0.1"
DEFAULT_PORT = 8080


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of browsers that hang up or fall silent."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _QuietHandler(WSGIRequestHandler):
    timeout = 60.0  # seconds without a byte, or those who never end their requests would hold a thread each for ever

    def log_message(self, format: str, *args: object) -> None:
        """Log no request."""


def serve(
    storage: StudyStorage,
    *,
    port: int | None,
    on_ready: Callable[[str], None],
    host: str | None = None,
    name: str | None = None,
) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM.

    Args:
        storage: What to show.
        port: Port, 0 for any free one; None for 8080, or any free one if that is taken.
        on_ready: Called with the URL once the server listens.
        host: Address or name to listen on, with a token in the URL that lets in; None for 127.0.0.1 without one.
        name: Study whose note the URL leads to; None for the only one there is, or for the list of several.

    Raises:
        InvalidInputError: The port is taken or may not be used, or the host is none of this machine.
        OSError: The server cannot listen for another reason.
    """
    page = _first_page(storage, name)
    family, address = (socket.AF_INET, HOST) if host is None else _resolved(host)
    from optuna_dashboard import wsgi  # seconds to import

    token = None if host is None else secrets.token_urlsafe(24)
    app = Door(wsgi(excerpt_of(storage), artifact_store=ArtifactsOfAll(storage)), token=token)
    kind = type("Server", (_Server,), {"address_family": family})

    def listen(number: int) -> WSGIServer:
        return make_server(address, number, app, server_class=kind, handler_class=_QuietHandler)

    try:
        server = listen(DEFAULT_PORT if port is None else port)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise InvalidInputError(f"--host must be an address or name of this machine; given {host!r}") from error
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        if port is not None:
            why = "taken" if error.errno == errno.EADDRINUSE else "not allowed"
            raise InvalidInputError(
                f"the port must be free; {port} on {address} is {why}; give another --port, or none"
            ) from error
        server = listen(0)
    with server, _sigterm_as_ctrl_c():
        on_ready(_url(address, server.server_port, token, page))
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


def _resolved(host: str) -> tuple[socket.AddressFamily, str]:
    """Return the family and the address of a host's name.

    Raises:
        InvalidInputError: There is no such name.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InvalidInputError(f"--host must be an address or name of this machine; given {host!r}") from error
    return found[0][0], str(found[0][4][0])


def _first_page(storage: StudyStorage, name: str | None) -> str:
    """Return the address of a study's note below that of the dashboard; "" for the list of studies.

    Raises:
        InvalidInputError: There is no such study.
    """
    if name is not None:
        storage.attributes(name)  # says which there are
    names = [name] if name is not None else storage.study_names()
    return f"studies/{storage.study_id(names[0])}/note" if len(names) == 1 else ""


def _url(address: str, port: int, token: str | None, page: str) -> str:
    if address in ("0.0.0.0", "::"):  # listens on all addresses, and is none
        address = socket.gethostname()
    shown = f"[{address}]" if ":" in address else address
    return f"http://{shown}:{port}/dashboard/{page}" + ("" if token is None else f"?token={token}")


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
