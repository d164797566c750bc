"""``runscrape iam``: who needs what, in the words of gcloud or Terraform."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor.known import known_services
from runscrape_generator.iam import gcloud, identities, terraform
from runscrape_generator.iam.needs import needs
from runscrape_generator.iam.present import present
from runscrape_generator.progress import Progress
from runscrape_generator.selection.decide import decide

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for."""

    generator: str = ""
    """An e-mail address or a member; empty: ask the credentials."""
    proxy: str = ""
    """The same; empty: ask the proxy."""
    terraform: bool = False
    diff: bool = False


def text(options: Options, settings: Settings, progress: Progress) -> str:
    """Give the commands, or the Terraform. Raises ConfigError or DiscoveryError."""
    known = known_services(settings, progress)
    for why in known.unlisted:
        log.warning(f"{why}; the roles for its services are left out")
    decisions = decide(known.services, settings)
    wanted = needs(
        decisions,
        settings,
        generator=identities.named(options.generator, "--generator-identity")
        if options.generator
        else identities.generator(settings),
        proxy=identities.named(options.proxy, "--proxy-identity")
        if options.proxy
        else identities.proxy(settings, decisions),
    )
    if options.terraform:
        return terraform.text(wanted)
    return gcloud.text(wanted, present(wanted, settings) if options.diff else None)
