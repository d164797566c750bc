"""What the two identities need: nothing on a whole project but to list, and for one role only.

| who | what | why |
|---|---|---|
| the generator | ``run.services.list`` on each project | finds the services |
| the generator | ``roles/cloudasset.viewer`` on folders, organisations | finds their projects |
| the proxy | ``roles/run.invoker`` on each service that is scraped | its tokens open these only |
| the proxy | ``roles/iap.httpsResourceAccessor``, where IAP stands before a service | passes IAP |
| IAP's own agent | ``roles/run.invoker`` there | IAP calls the service |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor.remedies import project_number
from runscrape_generator.model import Decision, Service

LISTER = "runscrapeLister"
"""The custom role's id. There is no predefined role that lists services and does no more."""
LISTER_TITLE = "runscrape: lists Cloud Run services"
PERMISSION = "run.services.list"
INVOKER = "roles/run.invoker"
IAP_ACCESSOR = "roles/iap.httpsResourceAccessor"
SEARCHER = "roles/cloudasset.viewer"
IAP_AGENTS = "gcp-sa-iap.iam.gserviceaccount.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Who needs what."""

    generator: str
    """As IAM writes members: ``serviceAccount:EMAIL``, ``user:EMAIL``."""
    proxy: str
    projects: tuple[str, ...]
    """Where the generator lists, sorted."""
    organizations: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    """Where it searches for projects: their numbers."""
    services: tuple[Service, ...]
    """Those that the proxy calls, in the order of the jobs; public ones need nothing."""

    def agent(self, service: Service) -> str:
        """Name the account of IAP's that calls a service; empty if the number is not known."""
        number = project_number(service)
        return f"serviceAccount:service-{number}@{IAP_AGENTS}" if number else ""

    @property
    def behind_iap(self) -> tuple[Service, ...]:
        """Those before which Identity-Aware Proxy stands."""
        return tuple(each for each in self.services if each.iap_enabled)


def needs(
    decisions: Iterable[Decision], settings: Settings, *, generator: str, proxy: str
) -> Needs:
    """Collect what the jobs of ``decisions`` need, and what listing as ``settings`` say needs."""
    kept = [each for each in decisions if any(end.audience for end in each.endpoints)]
    services = tuple(each.service for each in kept)
    every = {*settings.projects, *(service.project for service in services)}
    return Needs(
        generator=generator,
        proxy=proxy,
        projects=tuple(sorted(every)),
        organizations=settings.organizations,
        folders=settings.folders,
        services=services,
    )
