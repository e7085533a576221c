"""optuna-dashboard on a storage with its artifacts, on this machine only."""

from __future__ import annotations

import errno
import signal
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
from .excerpt import excerpt_of

HOST = "127.0.0.1"
DEFAULT_PORT = 8080


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of browsers that hang up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log no request."""


def serve(storage: StudyStorage, *, port: int | None, on_ready: Callable[[str], None]) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM.

    Args:
        storage: What to show.
        port: Port on 127.0.0.1, 0 for any free one; None for 8080, or any free one if that is taken.
        on_ready: Called with the URL once the server listens.

    Raises:
        InvalidInputError: The port is taken or may not be used.
        OSError: The server cannot listen for another reason.
    """
    from optuna_dashboard import wsgi  # seconds to import

    app = wsgi(excerpt_of(storage), artifact_store=ArtifactsOfAll(storage))

    def listen(number: int) -> WSGIServer:
        return make_server(HOST, number, app, server_class=_Server, handler_class=_QuietHandler)

    try:
        server = listen(DEFAULT_PORT if port is None else port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        if port is not None:
            why = "taken" if error.errno == errno.EADDRINUSE else "not allowed"
            raise InvalidInputError(
                f"the port must be free; {port} on {HOST} is {why}; give another --port, or none"
            ) from error
        server = listen(0)
    with server, _sigterm_as_ctrl_c():
        on_ready(f"http://{HOST}:{server.server_port}/dashboard/")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


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
