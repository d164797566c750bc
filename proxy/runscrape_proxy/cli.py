"""The command line of ``runscrape-proxy``; its parser reads the environment for plain gunicorn.

Imports nothing heavy: ``--help`` and a mistyped option answer at once.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from runscrape_proxy.errors import ProxyError, StartError
from runscrape_proxy.option_types import FILE, FILES, ITEM, duration, mode, size
from runscrape_proxy.settings import DEFAULTS, WARM_THREADS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROGRAM = "runscrape-proxy"
PREFIX = "RUNSCRAPE_PROXY"

# A Kubernetes Service named runscrape-proxy puts these into every pod of its namespace:
# https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
_SERVICE_LINK = re.compile(r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?")

_OF_GUNICORN = (
    "FORWARDED_ALLOW_IPS",
    "GUNICORN_FD",
    "GUNICORN_PID",
    "SCRIPT_NAME",
    "SENDFILE",
    "WEB_CONCURRENCY",
)
"""What gunicorn would read, and take for meant for it: none of it is a setting of the proxy."""

_NEEDS = {
    "prewarm": "inventory",
    "gateway": "inventory",
    "gateway_concurrency": "gateway",
    "gateway_per_host": "gateway",
    "gateway_connections": "gateway",
    "gateway_max_body": "gateway",
    "gateway_credentials": "gateway",
    "delegate": "impersonate_service_account",
    "client_id": "client_secret_file",
    "tls_key": "tls_cert",
    "tls_client_ca": "tls_cert",
}
"""Options that do nothing without another one."""


@click.command(
    name=PROGRAM,
    context_settings={
        "auto_envvar_prefix": PREFIX,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
    epilog="Each option is also an environment variable RUNSCRAPE_PROXY_ plus its name in upper"
    " case with underscores; values of a repeatable one are separated by commas or spaces there.",
)
@click.option(
    "--listen",
    type=ITEM,
    multiple=True,
    default=DEFAULTS.listen,
    metavar="ADDRESS",
    help="HOST:PORT, [HOST]:PORT, :PORT (all interfaces) or unix:PATH; repeatable.",
)
@click.option(
    "--socket-mode",
    type=mode,
    default=f"{DEFAULTS.socket_mode:04o}",
    help="Who may connect to a Unix socket of --listen, as chmod has it.",
)
@click.option(
    "--threads",
    type=click.IntRange(WARM_THREADS + 1, 16_384),
    default=DEFAULTS.threads,
    help=f"Requests served at once; all but {WARM_THREADS} of them may wait for a mint.",
)
@click.option(
    "--inventory",
    type=FILES,
    multiple=True,
    help="The inventory.json that runscrape writes: mint for its audiences only; repeatable.",
)
@click.option(
    "--allow-audience",
    type=ITEM,
    multiple=True,
    metavar="GLOB",
    help="An audience that may be asked for too; * stands for host name characters; repeatable.",
)
@click.option(
    "--client-id",
    help=f"The client id that goes with the secret.  [default: {DEFAULTS.client_id}]",
)
@click.option(
    "--client-secret-file",
    type=FILE,
    help="Secrets, one a line (two while rotating); needed on any address but loopback.",
)
@click.option("--credentials-file", type=FILE, help="Google credentials, before the default ones.")
@click.option(
    "--impersonate-service-account", default="", metavar="EMAIL", help="Mint as this account."
)
@click.option(
    "--delegate",
    type=ITEM,
    multiple=True,
    metavar="EMAIL",
    help="An account on the way there; repeatable.",
)
@click.option("--ca-file", type=FILE, help="More certificate authorities for outgoing calls, PEM.")
@click.option(
    "--mint-timeout", type=duration, default="4s", help="The longest that a request waits."
)
@click.option(
    "--mint-concurrency",
    type=click.IntRange(1, 512),
    default=DEFAULTS.mint_concurrency,
    help="Mints in flight at once.",
)
@click.option("--prewarm", is_flag=True, help="Mint for the whole inventory at start.")
@click.option(
    "--gateway",
    is_flag=True,
    help="Scrape the inventory's services for a Prometheus that has us as proxy_url.",
)
@click.option(
    "--gateway-concurrency",
    type=click.IntRange(1, 16_384),
    default=DEFAULTS.gateway_concurrency,
    help="Scrapes under way at once; each has a thread on top of --threads.",
)
@click.option(
    "--gateway-per-host",
    type=click.IntRange(1, 1024),
    default=DEFAULTS.gateway_per_host,
    help="Of these, to one host.",
)
@click.option(
    "--gateway-connections",
    type=click.IntRange(1, 65_536),
    default=DEFAULTS.gateway_connections,
    help="Connections kept for the next scrape, at most two of them to a service.",
)
@click.option(
    "--gateway-max-body",
    type=size,
    default="256MiB",
    help="The largest answer of a service that is passed on, as it comes over the wire.",
)
@click.option(
    "--gateway-credentials",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder with what apps want for themselves in Authorization: a rule's app_credentials"
    " names the file.",
)
@click.option("--tls-cert", type=FILE, help="Serve TLS with this certificate chain, PEM.")
@click.option("--tls-key", type=FILE, help="Its key, if not in the same file.")
@click.option("--tls-client-ca", type=FILE, help="Accept clients with a certificate of this CA.")
@click.option(
    "--allowed-host",
    type=ITEM,
    multiple=True,
    metavar="NAME",
    help="A Host that is ours too; repeatable.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="How lines are written on standard error; json suits Cloud Logging.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="The least that is logged: info is each mint and refusal, debug each answer.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log each answer too: --log-level debug.")
@click.version_option(
    package_name="runscrape",
    prog_name=PROGRAM,
    message="%(prog)s %(version)s",
    allow_from_autoenv=False,
)
@click.pass_context
def command(ctx: click.Context, /, **_options: object) -> None:
    """Mint Google-signed ID tokens for Prometheus, which asks for them with its oauth2 block."""
    # Gunicorn takes these later. Until then all is still to be read, and there is nothing to end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(0))
    for variable in _OF_GUNICORN:
        os.environ.pop(variable, None)
    from runscrape_proxy.serving import server  # noqa: PLC0415  gunicorn and google-auth take a second

    server.run(settings_of(ctx))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code. Whatever goes wrong is one line on stderr."""
    try:
        command.main(argv, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except StartError as error:
        return _fail(str(error), error.exit_code)
    except (ProxyError, OSError) as error:
        return _fail(str(error), 1)
    except click.Abort:
        return 130
    return 0


def settings_from_environment() -> Settings:
    """Read the settings from RUNSCRAPE_PROXY_… alone, as plain gunicorn starts without arguments.

    Raises :class:`~runscrape_proxy.errors.StartError` for a bad one.
    """
    try:
        with command.make_context(PROGRAM, []) as ctx:
            return settings_of(ctx)
    except click.ClickException as error:
        raise StartError(error.format_message()) from None


def settings_of(ctx: click.Context) -> Settings:
    """Check what no single option can say of itself, and name things as the code does."""
    _refuse_unknown_variables(ctx.command.params)
    _refuse_empty_lists(ctx)
    values = dict(ctx.params)
    given = {name for name in values if ctx.get_parameter_source(name) != ParameterSource.DEFAULT}
    for option, needed in _NEEDS.items():
        if option in given and values[option] and not values[needed]:
            raise click.UsageError(f"{_flag(option)} needs {_flag(needed)}")
    if "socket_mode" in given and not any(each.startswith("unix:") for each in values["listen"]):
        raise click.UsageError("--socket-mode needs --listen unix:PATH")
    values["delegates"] = values.pop("delegate")
    values["client_id"] = values["client_id"] or DEFAULTS.client_id
    if values.pop("verbose"):
        values["log_level"] = "debug"
    return Settings(**values)


def _refuse_unknown_variables(parameters: Iterable[click.Parameter]) -> None:
    """Name a mistyped RUNSCRAPE_PROXY_… variable: it may be the one that was to protect a secret.

    Raises click.UsageError.
    """
    known = {_variable(parameter.name) for parameter in parameters if parameter.name != "version"}
    for name in sorted(os.environ):
        rest = name.removeprefix(PREFIX + "_")
        if rest == name or name in known or _SERVICE_LINK.fullmatch(rest):
            continue
        raise click.UsageError(f"{name} is not a setting of {PROGRAM}: see --help")


def _refuse_empty_lists(ctx: click.Context) -> None:
    """Name a variable that holds commas or blanks alone, and so takes the default away.

    Raises click.UsageError.
    """
    for name, value in ctx.params.items():
        source = ctx.get_parameter_source(name)
        if source is ParameterSource.ENVIRONMENT and value == ():
            raise click.UsageError(f"{_variable(name)} names nothing: unset it, or give a value")


def _variable(name: str | None) -> str:
    return f"{PREFIX}_{name}".upper()


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    try:
        click.echo(f"{PROGRAM}: {line}", err=True)
    except OSError:  # the code says it too; and Python, which would try again at the end, exit 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return code
