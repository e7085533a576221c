"""Whose requests the dashboard answers: a real server, and requests as browsers send them for pages of other sites."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping

import pytest
from optuna.study import StudyDirection

import nas_sens as ns
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import tiny, url

PORT = "{port}"
EVIL = "http://evil.example"
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SCRIPT = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}


def started(storage: str, *arguments: str) -> tuple[subprocess.Popen[str], urllib.parse.SplitResult]:
    command = [sys.executable, "-m", "nas_sens", "dashboard", "--storage", storage, "--port", "0", *arguments]
    environment = {**os.environ, "OPTUNA_STORAGE": ""}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, urllib.parse.urlsplit(process.stdout.readline().strip())


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = url(tmp_path_factory.mktemp("door"))
    ns.search(tiny(train=ns.TrainSpec(epochs=1, seeds=1)), storage=where)
    return where


@pytest.fixture(scope="module")
def plain(storage: str) -> Iterator[int]:
    process, address = started(storage)
    assert (address.hostname, address.query) == ("127.0.0.1", "")
    yield address.port or 0
    process.terminate()
    process.communicate(timeout=30)


def asked(
    port: int, method: str, path: str, headers: Mapping[str, str], host: str = "127.0.0.1"
) -> tuple[int, Mapping[str, str]]:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value.format(port=port))
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.headers.items()}


METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
FOREIGN_HOSTS = (
    *("evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example:{port}"),
    *("evil@localhost", "localhost:80:evil.example", "0.0.0.0:{port}", "192.168.0.1:{port}", "localhost,evil.example"),
    *("", "[::1", ":", "127.0.0.1:{port}/", "evil.localhost"),
)
FOREIGN_ORIGINS = (
    *(EVIL, "https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost:{port}"),
    *("http://127.0.0.1:{port}.evil.example", "", "file://"),
)
FOREIGN_SITES = ("cross-site", "same-site", "CROSS-SITE", "")
HERE = "127.0.0.1:{port}"
ROWS = [
    # of a browser that shows the dashboard, of a command, through a tunnel with another port
    (200, "GET", {"Host": HERE}),
    (200, "GET", {"Host": "localhost:{port}"}),
    (200, "GET", {"Host": "LOCALHOST:{port}"}),
    (200, "GET", {"Host": "[::1]:{port}"}),
    (200, "GET", {"Host": "localhost"}),
    (200, "GET", {"Host": "localhost:9000", "Sec-Fetch-Site": "same-origin", **FETCH}),
    (200, "GET", {"Host": HERE, "Sec-Fetch-Site": "none", **LINK}),
    (200, "GET", {"Host": HERE, "Sec-Fetch-Site": "cross-site", **LINK}),
    (204, "DELETE", {"Host": HERE}),
    (204, "DELETE", {"Host": HERE, "Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin", **FETCH}),
    (204, "DELETE", {"Host": "localhost:9000", "Origin": "http://localhost:9000"}),
    (204, "DELETE", {"Host": "localhost:9000", "Origin": "https://localhost:9000"}),
    # names that were made to lead here
    *((403, method, {"Host": host}) for method in ("GET", "DELETE") for host in FOREIGN_HOSTS),
    (403, "GET", {}),
    (403, "DELETE", {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"}),
    # pages of other sites
    *((403, method, {"Host": HERE, "Origin": origin}) for method in METHODS for origin in FOREIGN_ORIGINS),
    *((403, method, {"Host": HERE, "Sec-Fetch-Site": site, **FETCH}) for method in METHODS for site in FOREIGN_SITES),
    (403, "GET", {"Host": HERE, "Sec-Fetch-Site": "cross-site", **FRAME}),
    (403, "GET", {"Host": HERE, "Sec-Fetch-Site": "cross-site", **SCRIPT}),
    (403, "POST", {"Host": HERE, "Sec-Fetch-Site": "cross-site", **LINK}),
]  # fmt: skip


@pytest.mark.parametrize("path", ["api", "page"])
def test_who_is_answered(storage: str, plain: int, path: str) -> None:
    if path == "page":
        for status, method, headers in ROWS:
            if method == "GET":
                assert asked(plain, method, "/dashboard/", headers)[0] == status, headers
        return
    database = StudyStorage(storage)
    for i, (status, method, headers) in enumerate(ROWS):
        if method == "GET":
            assert asked(plain, method, "/api/studies", headers)[0] == status, headers
            continue
        name = f"victim {i}"
        study_id = database.rdb.create_new_study([StudyDirection.MINIMIZE], name)
        assert asked(plain, method, f"/api/studies/{study_id}", headers)[0] == status, (method, headers)
        is_there = name in {s.study_name for s in database.rdb.get_all_studies()}
        assert is_there == (status == 403), (method, headers)
        if is_there:
            database.rdb.delete_study(study_id)


def test_nothing_is_framed_sniffed_or_read_by_other_sites(storage: str, plain: int) -> None:
    database = StudyStorage(storage)
    trial = next(t for t in database.rdb.get_all_trials(database.study_id("tiny")) if t.system_attrs)
    artifact = next(k for k in trial.system_attrs if k.startswith("artifacts:")).removeprefix("artifacts:")
    path = f"/artifacts/{database.study_id('tiny')}/{trial._trial_id}/{artifact}"
    for where, policy in (("/dashboard/", "frame-ancestors 'none'"), ("/api/studies", "frame-src"), (path, "sandbox")):
        status, headers = asked(plain, "GET", where, {"Host": "localhost"})
        assert status == 200
        assert policy in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert asked(plain, "GET", path, {"Host": "localhost", "Origin": EVIL})[0] == 403


@pytest.mark.parametrize(("host", "client"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1")])
def test_another_address_asks_for_the_token(storage: str, host: str, client: str) -> None:
    process, address = started(storage, "--host", host)
    try:
        port, query = address.port or 0, address.query
        assert query.startswith("token=")
        if host == "::1":
            assert address.hostname == "::1"

        def ask(method: str, path: str, **headers: str) -> tuple[int, Mapping[str, str]]:
            return asked(port, method, path, {"Host": "some.name", **headers}, client)

        for path in (
            "/dashboard/",
            "/api/studies",
            "/dashboard/?token=",
            "/dashboard/?token=wrong",
            "/static/bundle.js",
        ):
            assert ask("GET", path)[0] == 403, path
            assert ask("GET", path, Cookie=f"nas_sens_{port}=wrong")[0] == 403
            assert ask("GET", path, Cookie=f"nas_sens_{port}=")[0] == 403
        assert ask("DELETE", "/api/studies/1")[0] == 403
        status, headers = ask("GET", f"//evil.example/?a=%0d%0ab&{query}")
        assert (status, headers["location"]) == (303, "/evil.example/?a=%0D%0Ab")
        status, headers = ask("GET", f"/dashboard/studies?x=1&{query}")
        assert (status, headers["location"]) == (303, "/dashboard/studies?x=1")
        assert "HttpOnly" in headers["set-cookie"]
        assert "SameSite=Strict" in headers["set-cookie"]
        cookie = headers["set-cookie"].partition(";")[0]
        assert ask("GET", "/api/studies", Cookie=cookie)[0] == 200
        assert ask("GET", "/api/studies", Cookie=f"other=1; {cookie}")[0] == 200
        assert ask("DELETE", "/api/studies/999", Cookie=cookie, Origin=EVIL)[0] == 403
        assert ask("DELETE", "/api/studies/999", Cookie=cookie, Origin="http://some.name")[0] != 403, "no such study"
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize("host", ["no.such.name.invalid", "192.0.2.1", "", "a b", "http://x", "x" * 300])
def test_a_host_that_is_none_is_one_line(storage: str, host: str) -> None:
    command = [sys.executable, "-m", "nas_sens", "dashboard", "--storage", storage, "--host", host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "--host" in done.stderr
