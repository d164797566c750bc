"""``runscrape doctor``: what to check, the check-up, and what is said of it."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TextIO

from runscrape_generator.config import releases
from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor import facts as admin
from runscrape_generator.doctor.checkup import Checkup, examine_all
from runscrape_generator.doctor.diagnose import Diagnosis, diagnose
from runscrape_generator.doctor.evidence import Evidence
from runscrape_generator.doctor.jobs import own, prometheus_config
from runscrape_generator.doctor.known import KnownServices, attach, known_services
from runscrape_generator.doctor.mint import mint
from runscrape_generator.doctor.prometheus import Prometheus, look
from runscrape_generator.doctor.remedies import of_setup
from runscrape_generator.doctor.report import as_json, steps, table
from runscrape_generator.doctor.report.layout import USUAL, Layout
from runscrape_generator.doctor.targets import Credentials, Secret, SecretSource, Target
from runscrape_generator.errors import ConfigError, RunscrapeError
from runscrape_generator.model import Decision
from runscrape_generator.pipeline import around_the_jobs
from runscrape_generator.progress import Progress
from runscrape_generator.selection.decide import decide

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked of doctor besides the settings."""

    services: tuple[str, ...] = ()
    """Names or globs: ``NAME``, ``REGION/NAME``, ``PROJECT/REGION/NAME``, or a job's name."""
    prometheus_config: Path | None = None
    prometheus: str = ""
    """The URL of a running Prometheus."""
    mint: bool = False
    impersonate: str = ""
    """The service account to mint as; brings ``mint`` along."""
    probe_paths: bool = False
    as_json: bool = False


def run(options: Options, settings: Settings, config: str, progress: Progress, out: TextIO) -> int:
    """Check the targets and say what is wrong; 0 if all is well, else 1.

    ``config`` is the file of the settings, for remedies. Raises ConfigError where doctor cannot
    run.
    """
    known = _known(options, settings, progress)
    prometheus = look(options.prometheus, _login(settings)) if options.prometheus else None
    version = _version(settings, prometheus)
    targets, notes = _targets(options, settings, known, version)
    if not targets and known.listed is not None and known.listed.problems:
        raise ConfigError("\n".join(dict.fromkeys(known.listed.problems.values())))
    if not targets and (file := options.prometheus_config):
        notes += [f"{file}: no job has oauth2, the gateway as proxy_url, or a host on run.app"]
    elif not targets:
        notes += ["no service has a job: runscrape explain shows why"]
    minting = options.mint or options.impersonate
    checkup = Checkup(
        version=version,
        mint=partial(mint, impersonate=options.impersonate) if minting else None,
        probe_paths=options.probe_paths,
    )
    listed = known.listed or admin.listed(targets, settings, progress)
    with progress("targets", len(targets)) as advance:
        found = examine_all(checkup, targets, settings.concurrency, advance)
    setup = of_setup(
        settings,
        config,
        targets,
        prometheus=options.prometheus,
        prometheus_config=options.prometheus_config,
    )
    notes += [f"{why}; its services are not looked at" for why in known.unlisted]
    notes += [f"not all could be told by the Admin API: {why}" for why in listed.about(targets)]
    explained = admin.with_facts(found, listed, settings)
    completed = [_completed(each, known, prometheus, options) for each in explained]
    diagnoses = [diagnose(each, setup) for each in completed]
    out.write(_page(diagnoses, tuple(notes), options, settings, out))
    return int(any(each.cause for each in diagnoses) or not diagnoses)


def _known(options: Options, settings: Settings, progress: Progress) -> KnownServices:
    """Find the services. Jobs by hand are checked without them too, where Google lists none."""
    try:
        return known_services(settings, progress)
    except RunscrapeError:
        if options.prometheus_config is None:
            raise
        return KnownServices()


def _targets(
    options: Options, settings: Settings, known: KnownServices, version: tuple[int, int]
) -> tuple[tuple[Target, ...], list[str]]:
    """Give the targets asked for, and what is to be said of others."""
    if options.prometheus_config is not None:
        gateway = settings.gateway_url or settings.token_url
        read = prometheus_config.targets(options.prometheus_config, gateway, version)
        every = tuple(attach(target, known) for target in read)
        decided: tuple[Decision, ...] = ()
    else:
        usual, others = around_the_jobs(settings)
        decided = decide(known.services, usual, others)
        every = tuple(own.targets(decided, usual, version))
    if not options.services:
        return every, []
    chosen = tuple(t for t in every if any(_means(name, t) for name in options.services))
    notes = [
        _absent(name, decided)
        for name in options.services
        if not any(_means(name, target) for target in chosen)
    ]
    if not chosen:
        raise ConfigError("\n".join(notes))
    return chosen, notes


def _means(wanted: str, target: Target) -> bool:
    project, region, name = target.place
    forms = (name, f"{region}/{name}", f"{project}/{region}/{name}") if name else ()
    return any(fnmatchcase(form, wanted) for form in (*forms, target.name, target.job))


def _absent(name: str, decided: Iterable[Decision]) -> str:
    for each in decided:
        if name in {each.service.name, each.service.id} and not each.kept:
            return f"{each.service.id} has no target: {each.reason}"
    return f"{name}: no target is called so; runscrape explain shows all services"


def _login(settings: Settings) -> Credentials | None:
    """Give the login for Prometheus: that for reloads, if the settings have one."""
    if settings.reload_user is None:
        return None
    secret = SecretSource(file=settings.reload_password_file)
    return Credentials(username=SecretSource(Secret(settings.reload_user)), secret=secret)


def _version(settings: Settings, prometheus: Prometheus | None) -> tuple[int, int]:
    if prometheus is not None and prometheus.version is not None:
        return prometheus.version
    return releases.prometheus(settings)


def _completed(
    evidence: Evidence, known: KnownServices, prometheus: Prometheus | None, options: Options
) -> Evidence:
    """Add what the inventory and Prometheus say."""
    return dataclasses.replace(
        evidence,
        audiences=known.audiences,
        seen=prometheus.seen(evidence.target, options.prometheus_config) if prometheus else None,
    )


def _page(
    diagnoses: list[Diagnosis],
    notes: tuple[str, ...],
    options: Options,
    settings: Settings,
    out: TextIO,
) -> str:
    if options.as_json:
        return as_json.as_json(diagnoses, notes)
    layout = _layout(out)
    if len(options.services) == 1 and len(diagnoses) == 1:
        pages = [steps.page(each, layout) for each in diagnoses]
        return "\n".join(pages) + table.summary(diagnoses, layout) + "\n"
    return table.table(diagnoses, layout, notes=notes, all_=settings.verbosity > 0)


def _layout(out: TextIO) -> Layout:
    """Fit the terminal, or what COLUMNS says; colours are for terminals that want them."""
    terminal = out.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = shutil.get_terminal_size().columns
    return Layout(columns if terminal or os.environ.get("COLUMNS") else USUAL, colour)
