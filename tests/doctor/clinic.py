"""A site on which everything is broken once: services, each with its fault, and jobs by hand."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulator import Emulator
from runscrape_generator.cli.main import main
from tests.kit import fast_yaml as yaml
from tests.kit.authority import Authority
from tests.kit.odd_server import OddServer
from tests.proxy import harness

PROJECT, REGION, NUMBER = "demo", "us-central1", 123456789012
IDENTITY = f"prometheus@{PROJECT}.iam.gserviceaccount.com"
SECRET = "s3cr et+/%"
QUIET = {"max_instances": 1, "min_instances": 1}
"""Of a service that nothing is to be warned of."""


@dataclass(frozen=True)
class Case:
    """A service: as it was when runscrape ran, what broke since, and what doctor has to say."""

    cause: str
    """Empty: it is well."""
    broken: Mapping[str, Any] | None = field(default_factory=dict)
    """What is changed of the service; None: it is gone."""
    says: tuple[str, ...] = ()
    """Words that are in what was seen, the remedy or the commands."""
    was: Mapping[str, Any] = field(default_factory=dict)
    rule: Mapping[str, Any] = field(default_factory=dict)
    project: str = PROJECT


def place(name: str, project: str = PROJECT) -> str:
    return f"{name} --project {project} --region {REGION}"


def uri(name: str) -> str:
    return f"https://{name}-x7k2mq4wza-uc.a.run.app"


def app(**settings: Any) -> dict[str, Any]:
    return {"app": settings}


def page(**settings: Any) -> dict[str, Any]:
    return app(paths={"/metrics": settings})


def service(name: str, case: Case, *, now: bool) -> dict[str, Any] | None:
    """Give the emulator's service, before or after it broke; None where it is gone."""
    base = {"name": name, "region": REGION, "uri": uri(name), **QUIET, **case.was}
    if not now:
        return base
    return None if case.broken is None else base | dict(case.broken)


def world(cases: Mapping[str, Case], *, now: bool) -> dict[str, Any]:
    """Give the emulator's world; each project but the first cannot be listed any more."""
    projects = dict.fromkeys((PROJECT, *(case.project for case in cases.values())))
    content: dict[str, Any] = {}
    for number, project in enumerate(projects):
        made = [service(n, c, now=now) for n, c in cases.items() if c.project == project]
        content[project] = {
            "number": NUMBER + number,
            "regions": [REGION],
            "services": [each for each in made if each is not None],
        }
    faults = [
        {"project": "fenced", "code": "PERMISSION_DENIED", "reason": "SECURITY_POLICY_VIOLATED"},
        {"project": "hidden", "code": "PERMISSION_DENIED"},
    ]
    return {"projects": content, "faults": {"list_services": faults if now else []}}


@dataclass
class Clinic:
    """The site, running."""

    folder: Path
    google: Emulator
    proxy: harness.Proxy
    odd: OddServer
    """Answers what no well-kept server does, by path."""
    secure: OddServer
    """The same behind a certificate that nobody trusts."""
    outdated: OddServer
    """The same behind one of that authority, ``ca.pem``, which has ended."""

    @property
    def config(self) -> Path:
        return self.folder / "runscrape.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "prometheus.yml"

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run ``runscrape`` in this process; gives code, standard output and standard error."""
        return run(*words, "--config", str(self.config))

    def way(self) -> dict[str, Any]:
        """How a job reaches the emulated services."""
        return {
            "proxy_url": self.google.proxy_url,
            "tls_config": {"ca_file": str(self.google.ca_file)},
        }

    def oauth2(self, audience: str | None, **changes: Any) -> dict[str, Any]:
        """Give the block of a job that is written by hand."""
        return {
            "client_id": "prometheus",
            "client_secret_file": str(self.folder / "secret"),
            "token_url": f"{self.proxy.url}/token",
            "endpoint_params": {"audience": audience} if audience else {},
        } | changes

    def job(self, name: str, host: str, audience: str | None = None, **more: Any) -> dict[str, Any]:
        """Give a job that somebody wrote by hand."""
        return {
            "job_name": name,
            "scheme": "https",
            "oauth2": self.oauth2(audience or f"https://{host}"),
            "static_configs": [{"targets": [host]}],
            **self.way(),
            **more,
        }


def run(*words: str) -> tuple[int, str, str]:
    """Run ``runscrape`` in this process; gives code, standard output and standard error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
        sys.stdout.flush()
        sys.stderr.flush()
    return code, *(stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[return-value]


def settings(clinic: Clinic, cases: Mapping[str, Case], **more: Any) -> str:
    """Write runscrape.yaml: the way to the emulator for all, and each case's own rule."""
    rules: list[dict[str, Any]] = [{"scrape_config": clinic.way()}]
    rules += [{"match": {"service": name}, **c.rule} for name, c in cases.items() if c.rule]
    content = {
        "project": sorted({PROJECT, *(case.project for case in cases.values())}),
        "api_endpoint": clinic.google.api,
        "output": str(clinic.output),
        "token_url": f"{clinic.proxy.url}/token",
        "client_secret_file": str(clinic.folder / "secret"),
        "promtool": "none",
        "rules": rules,
    }
    return yaml.safe_dump(content | more, sort_keys=False)


@contextlib.contextmanager
def clinic(folder: Path, cases: Mapping[str, Case], *late: str, **more: Any) -> Iterator[Clinic]:
    """Run it: everything was well when runscrape ran; *late* came after the proxy's inventory.

    *more* are settings of runscrape.yaml.
    """
    (folder / "secret").write_text(SECRET + "\n")
    inventory = folder / "proxy" / "inventory.json"
    inventory.parent.mkdir()
    inventory.with_name("secret").write_text(SECRET)
    with contextlib.ExitStack() as ending:
        early = {name: case for name, case in cases.items() if name not in late}
        google = ending.enter_context(Emulator(world(early, now=False), folder / "google"))
        proxy = ending.enter_context(
            harness.running(
                folder,
                harness.COMMAND,
                *("--gateway", "--inventory", inventory),
                *("--client-secret-file", inventory.with_name("secret")),
                env=google.env("service_account"),
            )
        )
        odd = ending.enter_context(OddServer())
        authority = Authority(folder)
        secure, outdated = (
            ending.enter_context(OddServer(tls=authority.server("localhost", until=until)))
            for until in (None, datetime(2020, 1, 1, tzinfo=UTC))
        )
        site = Clinic(folder, google, proxy, odd, secure, outdated)
        site.config.write_text(settings(site, cases, **more))
        generate(site)
        inventory.write_bytes((folder / "inventory.json").read_bytes())
        if late:
            google.update(world(cases, now=False))
            generate(site)
        google.update(world(cases, now=True))
        yield site


def generate(site: Clinic) -> None:
    code, _, said = site.run("generate", "--max-removed", "100")
    assert code == 0, said


def diagnosed(site: Clinic, *words: str) -> tuple[int, dict[str, Any]]:
    """Run ``runscrape doctor --json``."""
    code, out, said = site.run("doctor", "--json", *words)
    assert code in {0, 1}, said
    return code, json.loads(out)


def by_name(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give each target of our jobs by its service, and of others by its job."""
    own = "cloudrun/"
    return {
        each["service"] if each["job"].startswith(own) else each["job"]: each
        for each in found["targets"]
    }


def words_of(finding: Mapping[str, Any]) -> str:
    """Give all that a finding says."""
    return "\n".join([finding["seen"], finding["remedy"], *finding["commands"]])


def with_jobs(site: Clinic, jobs: Sequence[Mapping[str, Any]]) -> Path:
    """Add jobs to what runscrape wrote; gives the new file."""
    content = yaml.safe_load(site.output.read_text())
    content["scrape_configs"] += jobs
    path = site.folder / "all.yml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
