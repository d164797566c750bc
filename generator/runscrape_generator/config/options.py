"""The table of options: every setting once, with its type, default, help and commands.

Flags, environment variables, keys of runscrape.yaml, ``--help``, ``--print-config``, the JSON
Schema and the reference in the documentation all derive from :data:`OPTIONS`.
"""

from __future__ import annotations

from runscrape_generator.config import vocabulary as words
from runscrape_generator.config.kinds import SWITCH, Kind, choice, list_of, number
from runscrape_generator.config.option import COMMANDS, PREFIX, Option
from runscrape_generator.config.rules import RULES
from runscrape_generator.config.settings import Format, Mode

__all__ = ["BY_KEY", "BY_VARIABLE", "COMMANDS", "OPTIONS", "PREFIX", "Option"]

_WRITERS = ("generate", "targets")
_GENERATE = ("generate",)


def _option(key: str, kind: Kind, group: str, text: str, /, **more: object) -> Option:
    return Option(key=key, kind=kind, group=group, help=text, **more)  # type: ignore[arg-type]


_LISTING, _SELECTION, _JOBS = "What to list", "Which services become jobs", "What a job looks like"
_FILES, _TALK = "Where it goes", "How to talk"
_GLOBS = list_of(words.SERVICE_GLOB)

OPTIONS: tuple[Option, ...] = (
    _option(
        "project",
        list_of(words.PROJECT),
        _LISTING,
        "Project to list; by default the one that the credentials name.",
        field="projects",
        default=(),
    ),
    _option(
        "region",
        list_of(words.REGION),
        _LISTING,
        "Region to list; by default every region that Google names.",
        field="regions",
        default=(),
    ),
    _option(
        "api_endpoint",
        words.API_ENDPOINT,
        _LISTING,
        "Run Admin API to ask instead of Google's public one; http:// means plaintext, which "
        "carries credentials on this machine only, and only if asked for.",
    ),
    _option(
        "concurrency",
        number("a whole number from 1 to 1000", 1, 1000, whole=True, metavar="N"),
        _LISTING,
        "How many scopes (project and region) to list at once.",
        default=32,
    ),
    _option(
        "timeout",
        words.SECONDS,
        _LISTING,
        "Time for listing one scope, retries included.",
        default="60s",
    ),
    _option(
        "include",
        _GLOBS,
        _SELECTION,
        "Keep only services whose name matches one of these globs.",
        default=(),
    ),
    _option(
        "exclude",
        _GLOBS,
        _SELECTION,
        "Skip services whose name matches one of these globs.",
        default=(),
    ),
    _option(
        "label",
        words.RUN_LABELS,
        _SELECTION,
        "Keep only services that carry this Cloud Run label; of several, all.",
        default=(),
    ),
    _option(
        "opt_in",
        SWITCH,
        _SELECTION,
        'Keep only services whose prometheus.io/scrape annotation is "true".',
        default=False,
    ),
    _option(
        "ingress",
        choice(("all", "internal")),
        _SELECTION,
        "internal also keeps services that answer only inside the VPC.",
        default="all",
    ),
    _option(
        "rules",
        RULES,
        _SELECTION,
        "What to set for the services that match, in order; a later rule beats an earlier one.",
        default=(),
        file_only=True,
    ),
    _option(
        "audience",
        choice(("uri", "custom")),
        _JOBS,
        "What tokens are made for: the service's URL, or its first custom audience if it has any.",
        default="uri",
    ),
    _option(
        "format",
        choice(Format),
        _JOBS,
        "What to render: a whole prometheus.yml, a file for scrape_config_files, a bare list of "
        "jobs, or resources for the Prometheus Operator.",
        commands=_GENERATE,
        default="prometheus",
    ),
    _option(
        "mode",
        choice(Mode),
        _JOBS,
        "A job per service with oauth2, or one job for all through the proxy's gateway.",
        default="oauth2",
    ),
    _option(
        "template",
        words.file(),
        _JOBS,
        "Your own Jinja2 template, in which {{ cloud_run_jobs }} stands for the jobs.",
        commands=_GENERATE,
    ),
    _option(
        "token_url",
        words.TOKEN_URL,
        _JOBS,
        "Where Prometheus finds the proxy's token endpoint.",
        commands=_GENERATE,
        default="http://127.0.0.1:7777/token",
    ),
    _option(
        "gateway_url",
        words.GATEWAY_URL,
        _JOBS,
        "Where Prometheus finds the proxy's gateway; by default the host of the token URL.",
        commands=_GENERATE,
    ),
    _option(
        "targets_file",
        words.TEXT,
        _JOBS,
        "The file of `runscrape targets` that the gateway's job reads, as Prometheus will see it.",
        commands=_GENERATE,
        default="targets.json",
    ),
    _option(
        "client_id",
        words.CLIENT_ID,
        _JOBS,
        "What Prometheus calls itself to the proxy.",
        commands=_GENERATE,
        default="prometheus",
    ),
    _option(
        "client_secret_file",
        words.TEXT,
        _JOBS,
        "The file with the secret for the proxy, as Prometheus will see it.",
        commands=_GENERATE,
    ),
    _option(
        "job_name",
        words.JOB_NAME,
        _JOBS,
        "How jobs are named.",
        default="cloudrun/{project}/{region}/{service}",
    ),
    _option(
        "scrape_interval",
        words.DURATION,
        _JOBS,
        "How often to scrape; by default Prometheus' global setting.",
    ),
    _option(
        "scrape_timeout",
        words.DURATION,
        _JOBS,
        "How long a scrape may take; by default Prometheus' global setting.",
    ),
    _option(
        "metrics_path",
        words.METRICS_PATH,
        _JOBS,
        "Where services serve their metrics.",
        default="/metrics",
    ),
    _option(
        "prometheus_version",
        words.VERSION,
        _JOBS,
        "The oldest Prometheus that will read the output.",
        commands=_GENERATE,
        default="2.42",
    ),
    _option(
        "output",
        words.file(dash=True),
        _FILES,
        "File to write; by default (or with -) standard output.",
        commands=_WRITERS,
        short="-o",
    ),
    _option(
        "inventory",
        words.file(),
        _FILES,
        "File that keeps what was found; by default inventory.json beside the output.",
    ),
    _option(
        "dry_run",
        SWITCH,
        _FILES,
        "Print what would change as a unified diff, and write nothing.",
        commands=_WRITERS,
        default=False,
    ),
    _option(
        "watch",
        words.SECONDS,
        _FILES,
        "Stay, and run again after this time (10 % more or less), until SIGTERM.",
        commands=_WRITERS,
    ),
    _option(
        "max_removed",
        number("a percentage from 0 to 100", 0, 100, whole=False, metavar="PERCENT"),
        _FILES,
        "Refuse a run that would remove more than this share of the jobs, or of their targets.",
        commands=_WRITERS,
        default=50,
    ),
    _option(
        "metrics_file",
        words.file(),
        _FILES,
        "Write metrics about the run, for node_exporter's textfile collector (NAME.prom).",
        commands=_WRITERS,
    ),
    _option(
        "promtool",
        words.PROMTOOL,
        _FILES,
        "Check the output with promtool: if it is installed, never, or with the one at PATH.",
        commands=_GENERATE,
        default="auto",
    ),
    _option(
        "reload",
        words.RELOAD_URL,
        _FILES,
        "Make Prometheus reload after a change, by POST to http://HOST:PORT/-/reload.",
        commands=_GENERATE,
    ),
    _option(
        "reload_command",
        words.TEXT,
        _FILES,
        "Make Prometheus reload after a change by running this.",
        commands=_GENERATE,
    ),
    _option(
        "verbosity",
        number("a whole number from -1 to 2", -1, 2, whole=True, metavar="N"),
        _TALK,
        "-1: problems only; 0: as usual; 1 or 2: every step.",
        default=0,
    ),
    _option(
        "log_format",
        choice(("text", "json")),
        _TALK,
        "How messages are written on standard error; json suits Cloud Logging.",
        default="text",
    ),
)

BY_KEY = {option.key: option for option in OPTIONS}
BY_VARIABLE = {option.variable: option for option in OPTIONS if not option.file_only}
