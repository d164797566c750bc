"""The process: listeners, TLS, systemd, signals, limits, and what ends a start."""

from __future__ import annotations

import contextlib
import http.client
import os
import platform
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from runscrape_proxy import cli
from runscrape_proxy.errors import StartError
from runscrape_proxy.proxy import TokenProxy
from runscrape_proxy.serving import server
from runscrape_proxy.serving.tls import ServerTls
from runscrape_proxy.settings import Settings
from tests.kit import seccomp
from tests.kit.authority import Authority
from tests.proxy.fake import FakeMinter
from tests.proxy.harness import (
    API,
    COMMAND,
    FORM,
    PATIENCE,
    SHOP,
    Answer,
    Proxy,
    children_of,
    clean_environment,
    eventually,
    fake,
    fake_with,
    read_all,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proxy.conftest import StartProxy

HEALTH = b"GET /-/healthy HTTP/1.0\r\n\r\n"
OK = b"HTTP/1.0 200 OK"


def inventory_of(*audiences: str) -> str:
    services = ", ".join(f'{{"state": "kept", "audience": "{audience}"}}' for audience in audiences)
    return f'{{"version": 1, "scopes": {{"demo/us-central1": [{services}]}}}}'


# --- What ends a start ---------------------------------------------------------------------------


def test_variables_of_gunicorn(start_proxy: StartProxy) -> None:
    """They are nobody's settings here, whatever they hold."""
    of_gunicorn = (
        "FORWARDED_ALLOW_IPS GUNICORN_FD GUNICORN_PID SCRIPT_NAME SENDFILE WEB_CONCURRENCY"
    )
    names = of_gunicorn.split()
    proxy = start_proxy(command=COMMAND, env=dict.fromkeys(names, "/odd"), cwd="/")
    assert proxy.get("/-/healthy").status == 200


def test_a_busy_port_ends_the_start(proxy: Proxy) -> None:
    """A port that is taken is one line and exit 2; gunicorn would try again, with a line each."""
    address = f"127.0.0.1:{proxy.address[1]}"
    code, error, _ = refused("--listen", address, command=fake_main())
    assert (code, error) == (2, f"runscrape-proxy: --listen {address}: Address already in use\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--listen", "0.0.0.0:0"], "0.0.0.0:"),
        (["--listen", "127.0.0.1:0", "--listen", ":0"], "--client-secret-file is needed"),
        (["--listen", "[::]:0"], "--client-secret-file is needed"),
        (["--listen", "nonsense"], "--listen nonsense: not HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "not HOST:PORT"),
        (["--listen", "::1:7777"], "in brackets"),
        (["--listen", "no-such-host.invalid:1"], "--listen no-such-host.invalid:1: "),
        (["--listen", "192.0.2.1:1"], "Cannot assign requested address"),
        (["--listen", "unix:/nowhere/at/all"], "No such file or directory"),
        (["--listen", "..:1"], "--listen ..:1: no name of a host"),
        (["--listen", f"{'a' * 64}.example:1"], "no name of a host"),
        (["--listen", "http://127.0.0.1:7777"], "not HOST:PORT"),
        (["--listen", "unix:"], "--listen unix:: not HOST:PORT, :PORT or unix:PATH"),
        (["--allowed-host", "http://proxy.internal"], "--allowed-host http://proxy.internal: not"),
        (["--allowed-host", "*.internal"], "--allowed-host *.internal: not the name"),
        (["--allowed-host", ""], "--allowed-host : not the name"),
        (["--client-secret-file", "/nowhere"], "client secret file /nowhere: No such file"),
        (["--client-secret-file", os.devnull], "no secret in it"),
        (["--tls-cert", "/nowhere"], "TLS files /nowhere: No such file"),
        (["--tls-cert", os.devnull], "no certificate and key that fit together"),
        (["--allow-audience", "*-*-*"], "--allow-audience *-*-*: at most"),
    ],
)
@pytest.mark.usefixtures("root_logger")
def test_what_ends_a_start(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A setting that cannot be served is one clear line and exit 2."""
    monkeypatch.setattr(server, "Credentials", lambda _settings: FakeMinter())
    monkeypatch.setattr(server.Server, "run", lambda _server: pytest.fail("it started"))
    listen = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0"]
    code, error = cli.main([*arguments, *listen]), capsys.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1
    assert error.startswith("runscrape-proxy: ")
    assert message in error


@pytest.mark.parametrize("name", ["LISTEN_PID", "LISTEN_FDS"])
def test_variables_of_systemd_that_are_no_numbers(name: str) -> None:
    """Whoever sets these by hand is told in one line."""
    code = (
        "import os, sys; os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}\n"
        f"os.environ['{name}'] = 'x'\n"
        "from runscrape_proxy import cli; sys.exit(cli.main(['--listen', '127.0.0.1:0']))"
    )
    exit_code, error, _ = refused(command=(sys.executable, "-c", code))
    assert (exit_code, "Traceback" in error) == (2, False), error
    assert "LISTEN_PID and LISTEN_FDS are numbers" in error


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("proxy.internal:7777", "proxy.internal"),
        ("[fd00::1]:7777", "[fd00::1]"),
        ("[fd00::1]", "[fd00::1]:7777"),
        ("fd00::1", "[fd00::1]"),
        ("Proxy_1.", "proxy_1:80"),
    ],
)
def test_how_an_allowed_host_is_written(given: str, host: str) -> None:
    """As in a URL, with a port or without, or an address without brackets."""
    known = TokenProxy(Settings(allowed_host=(given,)), FakeMinter())
    answer = known.app.test_client().get("/-/healthy", headers={"Host": host})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("option", ["--client-secret-file", "--tls-cert", "--ca-file"])
def test_a_pipe_ends_the_start(option: str, tmp_path: Path) -> None:
    """Nothing waits for somebody to write into a pipe."""
    os.mkfifo(tmp_path / "pipe")
    command = (*fake_main(), "--gateway", "--inventory", str(tmp_path / "none"))
    code, error, _ = refused(option, tmp_path / "pipe", command=command)
    assert (code, error.count("\n")) == (2, 1), error
    assert "not a regular file" in error


def test_an_inventory_that_is_no_file(start_proxy: StartProxy, tmp_path: Path) -> None:
    """It is one line in the log and all else goes on; the real one is read once it is there."""
    inventory = tmp_path / "inventory.json"
    os.mkfifo(inventory)
    proxy = start_proxy(
        *("--inventory", inventory, "--allow-audience", SHOP),
        command=fake_with("service.CHECK_SECONDS = 0.1"),
    )
    assert [proxy.token(SHOP).status, proxy.token(API).status] == [200, 400]
    assert f"inventory {inventory}: not a regular file" in proxy.get("/-/ready").text
    assert proxy.log.count(f"ERROR inventory {inventory}: not a regular file") == 1
    inventory.unlink()
    inventory.write_text(inventory_of(API))
    assert proxy.token(API).status == 200


def test_no_credentials_ends_the_start(tmp_path: Path) -> None:
    """Credentials that are named and not there end it too, before anything listens."""
    missing = tmp_path / "key.json"
    code, error, _ = refused(
        "--listen", "127.0.0.1:0", env={"GOOGLE_APPLICATION_CREDENTIALS": str(missing)}
    )
    assert (code, error.count("\n")) == (2, 1), error
    assert str(missing) in error


def fake_main() -> tuple[str, ...]:
    """The real ``main`` with the fake Google: for what is refused after the options are parsed."""
    code = (
        "import sys; from runscrape_proxy import cli\n"
        "from runscrape_proxy.serving import server; from tests.proxy.fake import *\n"
        "server.Credentials = lambda settings: FakeMinter()\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    return (sys.executable, "-c", code)


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False)])
def test_a_secret_that_everybody_reads(
    tmp_path: Path, mode: int, *, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A client secret file that others can read gets a warning with the remedy."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(mode)
    TokenProxy(Settings(client_secret_file=secret), FakeMinter())
    assert ("chmod 640" in caplog.text) is warned
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False)])
@pytest.mark.parametrize("apart", [True, False])
def test_a_tls_key_that_everybody_reads(
    tmp_path: Path, mode: int, *, warned: bool, apart: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The key gets the same warning, in a file of its own or with its certificate."""
    issued = Authority(tmp_path).issue("localhost")
    if not apart:
        issued.key.write_bytes(issued.cert.read_bytes() + issued.key.read_bytes())
    issued.key.chmod(mode)
    cert, key = (issued.cert, issued.key) if apart else (issued.key, None)
    ServerTls(cert, key, None)
    assert (f"{issued.key} holds a secret" in caplog.text) is warned


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    """A --tls-client-ca that holds no certificate is what the message names."""
    issued = Authority(tmp_path).issue("localhost")
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    with pytest.raises(StartError, match=r"no certificate of an authority in .*/junk\.pem$"):
        ServerTls(issued.cert, issued.key, junk)


def test_no_folder_of_app_credentials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is not there is warned of at start, not at the first scrape only."""
    folder = tmp_path / "apps"
    settings = Settings(gateway=True, inventory=(tmp_path / "i",), gateway_credentials=folder)
    TokenProxy(settings, FakeMinter())
    assert f"--gateway-credentials {folder}: no such folder" in caplog.text


@pytest.mark.parametrize("kind", ["pipe", "folder", "gigabyte"])
@pytest.mark.parametrize("option", ["--client-secret-file", "--credentials-file"])
def test_files_that_are_none(tmp_path: Path, option: str, kind: str) -> None:
    """A pipe, a folder or a file without end in the place of a secret is one line and exit 2."""
    path = tmp_path / "odd"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.touch()
            os.truncate(path, 1 << 30)
    code, error, _ = refused(option, path)
    told = [line for line in error.splitlines() if str(path) in line]
    assert (code, len(told)) == (2, 1)
    assert "Traceback" not in error


# --- Listeners -----------------------------------------------------------------------------------


def test_several_listeners(start_proxy: StartProxy, tmp_path: Path) -> None:
    """IPv4, IPv6 and a Unix socket at once; the socket file goes when the proxy goes."""
    path = tmp_path / "proxy.sock"
    proxy = start_proxy(
        "--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", f"unix:{path}"
    )
    assert proxy.token(API).status == 200
    assert "http://[::1]:" in proxy.log
    assert unix_get(path).startswith(OK)
    assert path.stat().st_mode == stat.S_IFSOCK | 0o660, "owner and group, unless told otherwise"
    assert proxy.stop() == 0
    assert not path.exists()


def test_a_socket_file_of_a_dead_process_is_no_obstacle(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    """What a killed process left is replaced; a socket that answers, or a file, is not."""
    path = tmp_path / "proxy.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    start_proxy("--listen", f"unix:{path}", "--socket-mode", "0600")
    assert path.stat().st_mode == stat.S_IFSOCK | 0o600
    for taken in (path, tmp_path / "file"):
        taken.touch()
        code, error, _ = refused("--listen", f"unix:{taken}", command=fake_main())
        assert (code, "Address already in use" in error) == (2, True)
    assert unix_get(path).startswith(OK)


@pytest.mark.parametrize("name", [b"name", b"\xff", b"\nX: y"])
def test_clients_of_a_unix_socket_that_have_a_name(
    start_proxy: StartProxy, tmp_path: Path, name: bytes
) -> None:
    """A client that bound its own socket is one as any other, and its name reaches no page."""
    path = tmp_path / "proxy.sock"
    proxy = start_proxy("--listen", f"unix:{path}")
    answers = []
    for request in (b"POST /token", b"GET /"):
        with socket.socket(socket.AF_UNIX) as connection:
            if request == b"POST /token":
                connection.bind(bytes(tmp_path) + b"/" + name)
            connection.connect(str(path))
            connection.sendall(request + b" HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
            answers.append(read_all(connection))
    assert b"no audience" in answers[0]
    assert answers[1].startswith(b"HTTP/1.1 200 OK")
    assert b"a Unix socket" in answers[1]
    assert "Traceback" not in proxy.log


def unix_get(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(HEALTH)
        return read_all(connection)


def test_an_open_address_with_a_secret(start_proxy: StartProxy, tmp_path: Path) -> None:
    """With a secret any address will do, and what its clients call it is its name."""
    secret = tmp_path / "secret"
    secret.write_text("s")
    proxy = start_proxy(
        "--listen", "0.0.0.0:0", "--client-secret-file", secret, "--allowed-host", "Proxy.internal"
    )
    form = {"client_id": "prometheus", "client_secret": "s"}
    assert proxy.token(API, form=form).status == 200
    for host, status in (("proxy.internal:7777", 200), ("10.1.2.3", 200), ("evil.example", 400)):
        assert proxy.token(API, form=form, headers={"Host": host}).status == status


def test_systemd_socket_activation(tmp_path: Path) -> None:
    """Sockets passed by LISTEN_FDS are served, --listen is not, and READY=1 comes when they are."""
    notify = tmp_path / "notify"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        socket.create_server(("127.0.0.1", 0)) as passed,
    ):
        systemd.bind(str(notify))
        systemd.settimeout(PATIENCE)
        process = activated(passed, {"NOTIFY_SOCKET": str(notify)})
        with process, terminated(process):
            assert systemd.recv(4096).startswith(b"READY=1")
            with socket.create_connection(passed.getsockname(), timeout=PATIENCE) as connection:
                connection.sendall(HEALTH)
                assert read_all(connection).startswith(OK)
            process.terminate()
            assert systemd.recv(4096).startswith(b"STOPPING=1")
            assert process.wait(PATIENCE) == 0


def test_an_open_socket_of_systemd_needs_a_secret_too() -> None:
    """Who opened the socket does not matter: without a secret only loopback is served."""
    with socket.create_server(("0.0.0.0", 0)) as passed:
        process = activated(passed, {})
        with process, terminated(process):
            _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert b"--client-secret-file is needed" in error


def activated(passed: socket.socket, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the proxy as systemd does: descriptor 3 is the socket, LISTEN_PID is its own pid."""
    become = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", become, str(passed.fileno()), *fake_main()],
        env=clean_environment() | env,
        pass_fds=[passed.fileno()],
        stderr=subprocess.PIPE,
    )


@contextlib.contextmanager
def terminated(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_tls_with_client_certificates(
    start_proxy: StartProxy, authority: Authority, tmp_path: Path
) -> None:
    """TLS is served; with --tls-client-ca only to clients of that authority; plain HTTP is not."""
    server, client = authority.issue("localhost"), authority.issue("client")
    proxy = start_proxy(
        "--tls-cert", server.cert, "--tls-key", server.key, "--tls-client-ca", authority.file
    )
    assert "listening on https://" in proxy.log
    context = authority.client()
    with pytest.raises((ssl.SSLError, OSError)):
        https(proxy, context)
    context.load_cert_chain(client.cert, client.key)
    assert https(proxy, context).startswith(OK)
    assert not proxy.raw(HEALTH).startswith(OK)
    stranger = Authority(tmp_path).issue("client")
    context.load_cert_chain(stranger.cert, stranger.key)
    with pytest.raises((ssl.SSLError, OSError)):
        https(proxy, context)
    assert "Traceback" not in proxy.log


def test_a_renewed_certificate_is_served(start_proxy: StartProxy, authority: Authority) -> None:
    """A new certificate is used without a restart; a broken one leaves the old one in use."""
    server = authority.issue("localhost")
    proxy = start_proxy("--tls-cert", server.cert, "--tls-key", server.key)
    first = serial(proxy, authority)
    server.cert.write_text("half a certi")
    assert serial(proxy, authority) == first
    eventually(lambda: "stays in force" in proxy.log, "a line about the broken certificate")
    authority.issue("localhost", over=server)
    eventually(lambda: serial(proxy, authority) != first, "the new certificate")


def https(proxy: Proxy, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(proxy.address, timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(HEALTH)
        answer = read_all(connection)
        if not answer:
            raise ConnectionResetError
        return answer


def serial(proxy: Proxy, authority: Authority) -> str:
    with (
        socket.create_connection(proxy.address, timeout=PATIENCE) as plain,
        authority.client().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        certificate = connection.getpeercert()
        assert certificate
        return str(certificate["serialNumber"])


# --- Signals and files ---------------------------------------------------------------------------


def test_sigterm_drains(start_proxy: StartProxy) -> None:
    """A request under way is answered after SIGTERM; the process ends within 10 s with 0."""
    proxy = start_proxy(command=fake(0.6))
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(proxy.token(API)))
    thread.start()
    eventually(lambda: "audiences 1.0" in proxy.get("/metrics").text, "the request to be there")
    began = time.monotonic()
    assert proxy.stop() == 0
    thread.join()
    assert time.monotonic() - began < 10
    assert [answer.status for answer in answers] == [200]


def test_ended_before_it_listens() -> None:
    """A worker that is told to end before it began to serve says nothing of it."""
    code = (
        "import os\n"
        "start = service.TokenProxy.start\n"
        "def ended(proxy):\n"
        "    start(proxy)\n"
        "    os.kill(os.getpid(), 15)\n"
        "    os.kill(os.getppid(), 15)\n"
        "service.TokenProxy.start = ended"
    )
    ended, said, _ = refused("--listen", "127.0.0.1:0", command=fake_with(code))
    assert ended == 0
    assert " listening on " in said
    assert said.count("\n") == 1


def test_ended_before_the_worker_takes_signals() -> None:
    """What comes between the fork and then is not lost: the end would take the 8 s of a hang."""
    code = (
        "import os, signal, time\n"
        "init = worker.ProxyWorker.init_process\n"
        "def late(self):\n"
        "    os.kill(os.getppid(), signal.SIGTERM)\n"
        "    while signal.SIGTERM not in signal.sigpending(): time.sleep(0.01)\n"
        "    init(self)\n"
        "worker.ProxyWorker.init_process = late"
    )
    ended, said, seconds = refused("--listen", "127.0.0.1:0", command=fake_with(code))
    assert ended == 0
    assert seconds < server.DRAIN_SECONDS
    assert said.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_refuses_new_clients(start_proxy: StartProxy, number: signal.Signals) -> None:
    """They hear at once that nobody listens, while those before them are answered.

    So the port is free for the next proxy, where somebody killed the first of its two processes.
    """
    patient = "polling.RECEIVE_SECONDS = gthread.STOP_KEEPALIVE_LINGER = server.DRAIN_SECONDS = 60"
    proxy = start_proxy(command=fake_with(f"from gunicorn.workers import gthread; {patient}"))

    def refuses() -> bool:
        try:
            socket.create_connection(proxy.address).close()
        except ConnectionRefusedError:
            return True
        return False

    with socket.create_connection(proxy.address, timeout=PATIENCE) as early:
        early.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n")
        assert proxy.get("/-/healthy").status == 200, "the connection before this one is accepted"
        proxy.send(number)
        eventually(refuses, "nobody to listen")
        early.sendall(b"\r\n")
        assert read_all(early).startswith(b"HTTP/1.1 200 ")
    assert proxy.process.wait(PATIENCE) == (0 if number == signal.SIGTERM else -number)


def test_sigterm_while_google_hangs(start_proxy: StartProxy) -> None:
    """Mints that hang and clients that dawdle do not hold up the end: 10 s with the real 8."""
    assert server.DRAIN_SECONDS <= 8
    command = fake_with("server.DRAIN_SECONDS = 1")
    proxy = start_proxy("--mint-timeout", "60s", command=command)
    threads = [
        threading.Thread(target=ignore_errors, args=(proxy, f"https://hang{n}.run.app"))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: "audiences 3.0" in proxy.get("/metrics").text, "the requests to be there")
    with socket.create_connection(proxy.address) as idle:
        idle.sendall(b"POST /token HTTP/1.1\r\n")
        began = time.monotonic()
        assert proxy.stop() == 0
        assert time.monotonic() - began < PATIENCE
    for thread in threads:
        thread.join()


def ignore_errors(proxy: Proxy, audience: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        proxy.token(audience)


def test_files_are_read_again(start_proxy: StartProxy, tmp_path: Path) -> None:
    """Inventories and secrets follow their files without a signal; a bad one keeps the old."""
    inventory, more, secret = (tmp_path / name for name in ("inventory", "more", "secret"))
    inventory.write_text(inventory_of(API))
    more.write_text(inventory_of("https://more.example"))
    secret.write_text("old")
    proxy = start_proxy(
        *("--inventory", inventory, "--inventory", more, "--client-secret-file", secret),
        command=fake_with("service.CHECK_SECONDS = 0.1"),
    )

    def status(audience: str, with_secret: str) -> int:
        return proxy.token(
            audience, form={"client_id": "prometheus", "client_secret": with_secret}
        ).status

    assert [status(API, "old"), status(SHOP, "old"), status(API, "new")] == [200, 400, 401]
    secret.write_text("old\nnew\n")
    eventually(lambda: status(API, "new") == 200, "the second secret")
    secret.write_text("")
    inventory.write_text(inventory_of(SHOP)[:-3])
    good = "runscrape_proxy_inventory_last_reload_successful 1.0"
    eventually(lambda: good not in proxy.get("/metrics").text, "the bad inventory")
    eventually(lambda: "no secret in it" in proxy.log, "the empty secret file")
    assert [status(API, "old"), status(API, "new"), status(SHOP, "new")] == [200, 200, 400]
    assert proxy.get("/-/ready").status == 200
    inventory.write_text(inventory_of(SHOP))
    assert status(SHOP, "new") == 200, "at once: Prometheus asks as soon as it has reloaded"
    assert status(API, "new") == 400
    assert status("https://more.example", "new") == 200
    eventually(lambda: API not in proxy.get("/metrics").text, "the old audience to be forgotten")
    assert good in proxy.get("/metrics").text


def test_a_late_inventory(start_proxy: StartProxy, tmp_path: Path) -> None:
    """Before the inventory is there nothing is minted and /-/ready is red; then it prewarms."""
    inventory = tmp_path / "inventory.json"
    command = fake_with("service.CHECK_SECONDS = 0.1")
    proxy = start_proxy("--inventory", inventory, "--prewarm", command=command)
    assert proxy.token(API).status == 400
    assert proxy.get("/-/ready").status == 503
    assert "No such file or directory" in proxy.log
    inventory.write_text(inventory_of(API, SHOP))
    eventually(lambda: "audiences 2.0" in proxy.get("/metrics").text, "the prewarmed audiences")
    eventually(lambda: proxy.get("/-/ready").status == 200, "readiness")
    assert 'mints_total{result="ok"} 2.0' in proxy.get("/metrics").text
    inventory.write_text(inventory_of(API, SHOP, "https://new.run.app"))
    eventually(lambda: "audiences 3.0" in proxy.get("/metrics").text, "the new audience")
    assert 'mints_total{result="ok"} 4.0' not in proxy.get("/metrics").text


def test_red_until_prewarmed(tmp_path: Path) -> None:
    """With --prewarm readiness waits for the first token of every audience of the inventory."""
    inventory = tmp_path / "inventory.json"
    inventory.write_text(inventory_of(API, SHOP))
    minter = FakeMinter()
    service = TokenProxy(Settings(inventory=(inventory,), prewarm=True), minter)
    web = service.app.test_client()
    assert web.get("/-/ready").status_code == 503, "nothing was asked for yet"
    service.start()
    try:
        eventually(lambda: web.get("/-/ready").status_code == 200, "readiness")
        assert 'mints_total{result="ok"} 2.0' in web.get("/metrics").text
    finally:
        service.close()


def test_sighup_keeps_tokens(start_proxy: StartProxy) -> None:
    """SIGHUP reads files again in the same process: no token is minted twice for it."""
    proxy = start_proxy()
    first = proxy.token(API).json["access_token"]
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: "files are read again" in proxy.log, "the reload")
    assert proxy.token(API).json["access_token"] == first
    assert 'mints_total{result="ok"} 1.0' in proxy.get("/metrics").text


@pytest.mark.parametrize("ignored", [signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU])
def test_no_second_proxy(start_proxy: StartProxy, ignored: signal.Signals) -> None:
    """Signals at which gunicorn would start a copy of itself, or another worker, do nothing."""
    proxy = start_proxy()
    assert proxy.token(API).status == 200, "a worker that still starts would miss a signal"
    proxy.process.send_signal(ignored)
    # Signals are handled one after the other, so that the first is done when the second is.
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: "files are read again" in proxy.log, "the second signal to be handled")
    assert children_of(proxy.process.pid) == [worker_of(proxy)]
    assert proxy.token(API).status == 200


def signalled_while_it_starts(number: signal.Signals) -> tuple[str, ...]:
    code = (
        "import os, sys; from runscrape_proxy import cli\n"
        "from runscrape_proxy.serving import server; from tests.proxy.fake import *\n"
        f"server.Credentials = lambda _: os.kill(os.getpid(), {number:d}) or FakeMinter()\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    return (sys.executable, "-c", code)


def test_sighup_while_it_starts(start_proxy: StartProxy) -> None:
    """What it would have read again is read now: a reload right after a start ends nothing."""
    proxy = start_proxy(command=signalled_while_it_starts(signal.SIGHUP))
    assert proxy.token(API).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_while_it_starts(number: signal.Signals) -> None:
    """It ends as it does later, without a word."""
    code, said, _ = refused("--listen", "127.0.0.1:0", command=signalled_while_it_starts(number))
    assert (code, said) == (0, "")


def test_a_killed_worker_is_replaced(start_proxy: StartProxy) -> None:
    """A worker that the kernel kills is started anew on the same port."""
    proxy = start_proxy()
    assert proxy.token(API).status == 200
    os.kill(worker_of(proxy), signal.SIGKILL)

    def again() -> bool:
        try:
            return proxy.token(API).status == 200
        except OSError:
            return False

    eventually(again, "a new worker")


def worker_of(proxy: Proxy) -> int:
    return children_of(proxy.process.pid)[0]


# --- One CPU -------------------------------------------------------------------------------------


def test_it_stays_on_one_cpu(start_proxy: StartProxy) -> None:
    """Threads of Python that run on several CPUs pass the interpreter to and fro."""
    proxy = start_proxy(command=fake())
    assert proxy.token(API).status == 200
    threads = [int(each.name) for each in Path(f"/proc/{worker_of(proxy)}/task").iterdir()]
    cpus = set.union(*map(os.sched_getaffinity, threads))
    assert len(cpus) == 1
    assert cpus <= os.sched_getaffinity(0)


@pytest.mark.skipif(platform.machine() not in seccomp.NUMBERS, reason="the call's number is needed")
@pytest.mark.parametrize("how", ["refuse", "kill"])
def test_a_sandbox_without_cpu_affinity(start_proxy: StartProxy, how: str) -> None:
    """Where a process may not choose its CPU, it serves on all of them."""
    proxy = start_proxy("-v", command=(sys.executable, "-m", "tests.kit.seccomp", how, *fake()))
    assert proxy.token(API).status == 200
    assert os.sched_getaffinity(worker_of(proxy)) == os.sched_getaffinity(0)
    assert "not bound to one CPU" in proxy.log


def test_a_parent_that_ignores_how_children_end(start_proxy: StartProxy) -> None:
    """What it left behind for SIGCHLD does not keep the proxy from one CPU, or from starting."""
    ignoring = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    proxy = start_proxy(command=fake_with(ignoring))
    assert proxy.token(API).status == 200
    assert len(os.sched_getaffinity(worker_of(proxy))) == 1


# --- Limits --------------------------------------------------------------------------------------


def test_warm_answers_while_cold_ones_hang(start_proxy: StartProxy) -> None:
    """With every thread that may wait waiting, warm tokens are answered; one more cold is a 503."""
    proxy = start_proxy("--threads", "72", "--mint-timeout", "2s")
    assert proxy.token(API).status == 200
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        cold = [
            stack.enter_context(socket.create_connection(proxy.address, timeout=PATIENCE))
            for _ in range(40)
        ]
        for number, connection in enumerate(cold):
            connection.sendall(request_for(f"https://hang{number}-uc.a.run.app"))
        assert proxy.token(API).status == 200
        answers = [read_all(connection) for connection in cold]
    assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
    assert all(b"\r\nRetry-After: " in answer for answer in answers)
    at_once = [answer for answer in answers if b"8 requests wait for Google already" in answer]
    assert len(at_once) == 40 - 8
    assert time.monotonic() - began < 5 * 2, "eight at a time would take so long"


def test_clients_that_do_not_close(start_proxy: StartProxy) -> None:
    """A client that leaves its connection open after the last answer holds up nobody else."""
    proxy = start_proxy()
    requests = [HEALTH, request_for(API), b"nonsense\r\n\r\n"] * 10
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        for request in requests:
            connection = socket.create_connection(proxy.address, timeout=PATIENCE)
            stack.enter_context(connection).sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.")
        assert proxy.token(API).status == 200
        left = time.monotonic()
    assert left - began < PATIENCE, "gunicorn alone would wait 2 s for each"
    assert proxy.stop() == 0
    assert time.monotonic() - left < 10


def request_for(audience: str) -> bytes:
    body = urlencode({"audience": audience})
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_silent_connections_hold_no_thread(start_proxy: StartProxy) -> None:
    """More connections that say nothing than there are threads delay nobody, and are closed."""
    command = fake_with("polling.RECEIVE_SECONDS = 1")
    proxy = start_proxy("--threads", "65", command=command)
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(proxy.address, timeout=PATIENCE))
            for _ in range(130)
        ]
        assert proxy.token(API).status == 200
        assert len(list(Path(f"/proc/{worker_of(proxy)}/task").iterdir())) < 20
        assert [read_all(connection) for connection in silent] == [b""] * 130


def test_no_room_for_a_process(start_proxy: StartProxy) -> None:
    """It waits for the room that its worker needs; the choice of a CPU waits for nothing."""
    busy = (
        "import errno, os; fork, left = os.fork, [1, 2]\n"
        "def busy():\n"
        "    if left.pop() if left else 0: raise OSError(errno.EAGAIN, 'no room')\n"
        "    return fork()\n"
        "os.fork = busy"
    )
    proxy = start_proxy(command=fake_with(busy))
    proxy.until_it_says("no worker can be started, and it is tried again: .* no room")
    assert proxy.token(API).status == 200


def test_few_descriptors_leave_room_for_warm_answers(start_proxy: StartProxy) -> None:
    """Where ulimit -n is small the threads are fewer, and the log says so."""
    shell = ("/bin/sh", "-c", 'ulimit -n 400; exec "$@"', "sh", *fake())
    proxy = start_proxy(command=shell)
    assert "leaves 144 threads of 1088" in proxy.log
    assert proxy.token(API).status == 200


def test_more_connections_than_descriptors(start_proxy: StartProxy) -> None:
    """More clients than the system has room for wait; the process lives and serves again."""
    shell = ("/bin/sh", "-c", 'ulimit -n 330; exec "$@"', "sh", *fake())
    proxy = start_proxy(command=shell)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(proxy.address, timeout=PATIENCE))
    assert proxy.token(API).status == 200
    assert "Traceback" not in proxy.log


def test_a_request_that_trickles_in_is_cut_off(start_proxy: StartProxy) -> None:
    """A client that stops in the middle of its request does not keep a thread for ever."""
    command = fake_with("polling.RECEIVE_SECONDS = 0.5")
    proxy = start_proxy("--mint-timeout", "500ms", command=command)
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    with contextlib.ExitStack() as stack:
        halves = []
        for start in (b"POST /tok", f"{head}Content-Length: 100\r\n\r\naudience=".encode()):
            connection = socket.create_connection(proxy.address, timeout=PATIENCE)
            halves.append(stack.enter_context(connection))
            connection.sendall(start)
        assert all(b" 200 " not in read_all(connection) for connection in halves)
