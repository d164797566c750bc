"""Every setting of the generator, once: its type, default, help, and the commands that have it.

Flags, environment variables, keys of runscrape.yaml, ``--help``, ``--print-config``, the JSON
Schema and the reference in the documentation all derive from :class:`Settings`. Durations are kept
as Prometheus writes them where they go into its configuration, and as seconds where we use them
ourselves. How settings are read is in :mod:`runscrape_generator.config.load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from runscrape_generator.config import vocabulary
from runscrape_generator.config.fields import Number
from runscrape_generator.config.messages import Place, dotted
from runscrape_generator.config.option import COMMANDS, PREFIX, Option, fields, option, setting
from runscrape_generator.config.rules import CONFIG, EndpointRule, Match, Rule

__all__ = [
    "AUTO",
    "BY_KEY",
    "BY_VARIABLE",
    "COMMANDS",
    "OPTIONS",
    "PREFIX",
    "EndpointRule",
    "Format",
    "Match",
    "Mode",
    "Option",
    "Rule",
    "Settings",
    "TargetsFrom",
]


class Format(StrEnum):
    """What ``runscrape generate`` renders."""

    PROMETHEUS = "prometheus"
    SCRAPE_CONFIGS = "scrape-configs"
    VMAGENT = "vmagent"
    OPERATOR = "operator"


class Mode(StrEnum):
    """A job per service with ``oauth2``, or one job for all through the proxy's gateway."""

    OAUTH2 = "oauth2"
    GATEWAY = "gateway"


AUTO = "auto"
"""The ``prometheus_version`` that is to be found out."""


class TargetsFrom(StrEnum):
    """Where the gateway's job finds its targets."""

    FILE = "file"
    HTTP = "http"


_Concurrency = Annotated[int, Number("a whole number from 1 to 1000", 1, 1000)]
_Percent = Annotated[float, Number("a percentage from 0 to 100", 0, 100, metavar="PERCENT")]
_Verbosity = Annotated[int, Number("a whole number from -1 to 2", -1, 2)]

_LISTING, _SELECTION, _JOBS = "What to list", "Which services become jobs", "What a job looks like"
_FILES, _MESSAGES = "Where it goes", "Messages"
_GENERATE, _WRITERS = ("generate",), ("generate", "targets")
_ASKERS = ("generate", "doctor", "iam")
"""Those that say, or follow, how Prometheus asks the proxy."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Settings:
    """Everything in force for one command."""

    projects: vocabulary.Projects = setting(
        _LISTING,
        "Google Cloud project to list; by default the one that the credentials name.",
        key="project",
        default=(),
    )
    organizations: vocabulary.ResourceIds = setting(
        _LISTING,
        "Organization to list: every project in it where Cloud Asset Inventory finds services.",
        key="organization",
        default=(),
    )
    folders: vocabulary.ResourceIds = setting(
        _LISTING,
        "Folder to list, likewise, with the folders in it.",
        key="folder",
        default=(),
    )
    regions: vocabulary.Regions = setting(
        _LISTING,
        "Region to list; by default all regions.",
        key="region",
        default=(),
    )
    api_endpoint: vocabulary.ApiEndpoint | None = setting(
        _LISTING,
        "Address of the Run Admin API, if it is not Google's public one. With http:// it is asked "
        "in plaintext; credentials go there on this machine only, and only if it wants some.",
    )
    concurrency: _Concurrency = setting(
        _LISTING, "How many calls to Google to make at once.", default=32
    )
    timeout: vocabulary.Seconds = setting(
        _LISTING,
        "How long one call to Google may take, retries included.",
        default="60s",
    )

    include: vocabulary.ServiceGlobs = setting(
        _SELECTION, "Keep only services whose name matches one of these globs.", default=()
    )
    exclude: vocabulary.ServiceGlobs = setting(
        _SELECTION, "Skip services whose name matches one of these globs.", default=()
    )
    label: vocabulary.RunLabels = setting(
        _SELECTION,
        "Keep only services that have this Cloud Run label; with several, all of them.",
        default={},
    )
    opt_in: vocabulary.OnOff = setting(
        _SELECTION,
        'Keep only services whose prometheus.io/scrape annotation is "true".',
        default=False,
    )
    ingress: Literal["all", "internal"] = setting(
        _SELECTION,
        "all: services that can be reached from anywhere; internal: also those that answer only "
        "inside the VPC.",
        default="all",
    )
    rules: tuple[Rule, ...] = setting(
        _SELECTION,
        "What to set for the services that match, in order; a later rule beats an earlier one.",
        default=(),
        file_only=True,
    )

    audience: Literal["uri", "custom"] = setting(
        _JOBS,
        "What tokens are made for. uri: the service's URL; custom: its first custom audience, if "
        "it has one.",
        default="uri",
    )
    format: Format = setting(
        _JOBS,
        "What to write. prometheus: a whole prometheus.yml; scrape-configs: a file for its "
        "scrape_config_files; vmagent: the same for vmagent; operator: resources for the "
        "Prometheus Operator.",
        commands=_GENERATE,
        default="prometheus",
    )
    mode: Mode = setting(
        _JOBS,
        "oauth2: a job for each service, with a token from the proxy; gateway: one job for all, "
        "scraped through the proxy.",
        default="oauth2",
    )
    template: vocabulary.File | None = setting(
        _JOBS,
        "Your own Jinja2 template, in which {{ cloud_run_jobs }} stands for the jobs.",
        commands=_GENERATE,
    )
    token_url: vocabulary.TokenUrl = setting(
        _JOBS,
        "Where Prometheus finds the proxy's token endpoint.",
        commands=_ASKERS,
        default="http://127.0.0.1:7777/token",
    )
    gateway_url: vocabulary.GatewayUrl | None = setting(
        _JOBS,
        "Where Prometheus finds the proxy's gateway; by default the host of the token URL.",
        commands=("generate", "doctor"),
    )
    targets_from: TargetsFrom = setting(
        _JOBS,
        "Where the gateway's job finds its targets: in --targets-file, or at the proxy's /targets.",
        commands=_GENERATE,
        default="file",
    )
    targets_file: vocabulary.FileElsewhere = setting(
        _JOBS,
        "The file of `runscrape targets` that the gateway's job reads, as Prometheus will see it.",
        commands=_GENERATE,
        default="targets.json",
    )
    client_id: vocabulary.ClientId = setting(
        _JOBS,
        "User name that Prometheus gives to the proxy.",
        commands=_ASKERS,
        default="prometheus",
    )
    client_secret_file: vocabulary.FileElsewhere | None = setting(
        _JOBS,
        "File with the password that goes with it, as Prometheus will see it.",
        commands=_ASKERS,
    )
    job_name: vocabulary.JobName = setting(
        _JOBS,
        "Name of each job; the placeholders stand for the service's own.",
        default="cloudrun/{project}/{region}/{service}",
    )
    scrape_interval: vocabulary.Duration | None = setting(
        _JOBS, "How often to scrape; by default as Prometheus' global block says."
    )
    scrape_timeout: vocabulary.Duration | None = setting(
        _JOBS, "How long a scrape may take; by default as Prometheus' global block says."
    )
    metrics_path: vocabulary.MetricsPath = setting(
        _JOBS, "Path of the metrics, where a service or a rule names no other.", default="/metrics"
    )
    prometheus_version: vocabulary.PrometheusVersion = setting(
        _JOBS,
        "The oldest Prometheus that will read the output; auto: that of the server that --reload "
        "names, else promtool's, else 2.42.",
        commands=_GENERATE,
        default=AUTO,
    )
    vmagent_version: vocabulary.VmagentVersion = setting(
        _JOBS,
        "The oldest vmagent that will read the output of --format vmagent.",
        commands=_GENERATE,
        default="1.79",
    )

    output: vocabulary.FileOrStdout = setting(
        _FILES,
        "File to write; by default, or with -, standard output.",
        commands=_WRITERS,
        short="-o",
    )
    into: vocabulary.File | None = setting(
        _FILES,
        "Keep the jobs in a block of this prometheus.yml of yours, in place of --output.",
        commands=_GENERATE,
    )
    force: vocabulary.OnOff = setting(
        _FILES,
        "Replace a file that runscrape did not write, too, and keep it as NAME.orig.",
        commands=_WRITERS,
        default=False,
    )
    inventory: vocabulary.File | None = setting(
        _FILES, "File that remembers what was found; by default inventory.json beside the output."
    )
    dry_run: vocabulary.OnOff = setting(
        _FILES,
        "Print what would change as a unified diff, and write nothing.",
        commands=_WRITERS,
        default=False,
    )
    watch: vocabulary.Seconds | None = setting(
        _FILES,
        "Keep running, and look again after each DURATION (10 % more or less), until SIGTERM.",
        commands=_WRITERS,
    )
    max_removed: _Percent = setting(
        _FILES,
        "Refuse a run that would remove more than this percentage of the jobs or targets.",
        commands=_WRITERS,
        default=50,
    )
    metrics_file: vocabulary.File | None = setting(
        _FILES,
        "Write metrics about the run to this file (NAME.prom), for node_exporter's textfile "
        "collector.",
        commands=_WRITERS,
    )
    promtool: vocabulary.Promtool = setting(
        _FILES,
        "Check the output with promtool. auto: if it is installed; syntax: its syntax alone, where "
        "the files that it names are on another machine; none: never; else the program at PATH.",
        commands=_GENERATE,
        default="auto",
    )
    reload: vocabulary.ReloadUrl | None = setting(
        _FILES,
        "After a change, have Prometheus reload by a POST to this URL, http://HOST:PORT/-/reload.",
        commands=_GENERATE,
    )
    reload_user: vocabulary.ReloadUser | None = setting(
        _FILES,
        "User for --reload, where Prometheus wants Basic authentication.",
        commands=_GENERATE,
    )
    reload_password_file: vocabulary.File | None = setting(
        _FILES, "File with the password of --reload-user.", commands=_GENERATE
    )
    reload_command: vocabulary.ShellCommand | None = setting(
        _FILES,
        "After a change, have Prometheus reload by running this command.",
        commands=_GENERATE,
    )

    verbosity: _Verbosity = setting(
        _MESSAGES, "-1: problems only; 0: as usual; 1: every step; 2: more.", default=0
    )
    log_format: Literal["text", "json"] = setting(
        _MESSAGES,
        "How messages are written to standard error; json is what Cloud Logging reads.",
        default="text",
    )

    version_from: SkipJsonSchema[str] = field(default="", repr=False, compare=False)
    """Who has told the ``prometheus_version``, where it was found out; no setting itself."""
    lines: SkipJsonSchema[Mapping[Place, str]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Where the rules and all that is in them stand, as ``FILE:LINE``; no setting itself."""

    def where(self, place: Place) -> str:
        """Say where *place* is, as messages begin: ``FILE:LINE: rules[0].match``."""
        return ": ".join(filter(None, (self.line(place), dotted(place))))

    def line(self, place: Place) -> str:
        """Give the ``FILE:LINE`` of *place*, or of what it is in; empty where no file has it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, "")

    @property
    def output_path(self) -> Path | None:
        """The file to write, whole or in part; None: standard output."""
        return self.into or self.output

    @property
    def inventory_path(self) -> Path | None:
        """Where the inventory is kept; None where there is none."""
        if self.inventory is not None:
            return self.inventory
        path = self.output_path
        return path.parent / "inventory.json" if path is not None else None


OPTIONS: tuple[Option, ...] = tuple(
    option(name, info) for name, info in fields(Settings).items() if info.json_schema_extra
)
BY_KEY = {each.key: each for each in OPTIONS}
BY_VARIABLE = {each.variable: each for each in OPTIONS if not each.file_only}
