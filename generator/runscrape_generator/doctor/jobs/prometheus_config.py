"""A prometheus.yml as Prometheus reads it: jobs, ``scrape_config_files``, and what they discover.

Only jobs that concern runscrape become targets: those with ``oauth2``, those whose scrapes go
through the gateway (another HTTP proxy is none), and those of hosts on run.app.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runscrape_generator.addresses import is_loopback, without_secrets
from runscrape_generator.doctor import token
from runscrape_generator.doctor.answer import MOST_REDIRECTS, sent_on
from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.evidence import Evidence, Exchange
from runscrape_generator.doctor.faults import token as of_token
from runscrape_generator.doctor.faults.network import to_proxy
from runscrape_generator.doctor.http.connection import is_url
from runscrape_generator.doctor.http.exchange import Request, exchange
from runscrape_generator.doctor.jobs import scrape_config
from runscrape_generator.doctor.jobs.relabel import RegexError
from runscrape_generator.doctor.jobs.scrape_config import Data, Defaults, TargetGroup
from runscrape_generator.doctor.targets import Secret, Target
from runscrape_generator.errors import ConfigError, ValidationError
from runscrape_generator.render.yaml import from_yaml
from runscrape_generator.text import SURROGATES, one_line, show

_HTTP_SD_SECONDS = 10.0
_META = "__meta_cloudrun_service"
"""A label of every target that runscrape finds."""
_INHERITED = (
    *("sample_limit", "body_size_limit", "label_limit", "scrape_protocols"),
    *("label_name_length_limit", "label_value_length_limit"),
)
"""What a job takes from the ``global`` block where it says nothing itself, or 0."""
_DISCOVERIES = ("static_configs", "file_sd_configs", "http_sd_configs")
"""What doctor can ask for targets."""


def targets(path: Path, gateway: str = "", version: tuple[int, int] = (2, 42)) -> Iterator[Target]:
    """Give every target of a configuration that concerns runscrape. Raises ConfigError.

    ``gateway`` is the URL of the proxy, as far as the settings tell; ``version`` is Prometheus'.
    """
    for job, defaults in _jobs(path, version):
        try:
            yield from _of_job(job, defaults, gateway)
        except RegexError as error:
            problem = Fault("unknown", f"{one_line(error)}: doctor cannot apply it")
            yield Target(job=str(job.get("job_name")), problem=problem)
        except ValueError as error:
            raise _wrong(path, job, one_line(error)) from None
        except (TypeError, AttributeError):
            why = "Prometheus would not take it: promtool check config says where"
            raise _wrong(path, job, why) from None


def _wrong(path: Path, job: Data, why: str) -> ConfigError:
    return ConfigError(f"{path}: job {show(str(job.get('job_name')))}: {why}")


def _jobs(path: Path, version: tuple[int, int]) -> list[tuple[Data, Defaults]]:
    """Read each job of it and of its ``scrape_config_files``, with what holds for the job."""
    content = _mapping(path)
    folder = path.absolute().parent  # of the link itself, where it is one
    common = content.get("global") or {}
    files = content.get("scrape_config_files") or []
    if not isinstance(common, dict) or not isinstance(files, list):
        raise ConfigError(f"{path}: global is no mapping, or scrape_config_files no list")
    interval = str(common.get("scrape_interval") or scrape_config.INTERVAL)
    timeout = str(common.get("scrape_timeout") or scrape_config.TIMEOUT)
    defaults = Defaults(folder, interval, timeout, version)
    jobs = [(job, defaults) for job in _entries(path, content)]
    for pattern in files:
        for name in _found(folder / str(pattern)):
            file = Path(name)
            of_file = replace(defaults, folder=file.parent)
            jobs += [(job, of_file) for job in _entries(file, _mapping(file))]
    return [(_completed(job, common), of_job) for job, of_job in jobs]


def _completed(job: Data, common: Data) -> Data:
    """Add what the job takes from the ``global`` block."""
    missing = [name for name in _INHERITED if job.get(name) in (None, "", "0")]
    return {**job, **{name: common[name] for name in missing if name in common}}


def _mapping(path: Path) -> Data:
    try:
        content = _yaml(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {one_line(error)}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: not a configuration of Prometheus, which is a mapping")
    return content


def _yaml(content: bytes) -> Any:
    """Read the one document of a file as Prometheus does. Raises ValueError."""
    try:
        return next(iter(from_yaml(content.decode(), as_written=True)), None)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except ValidationError as error:
        raise ValueError(str(error)) from None


def _entries(path: Path, content: Data) -> list[Data]:
    entries = content.get("scrape_configs") or []
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ConfigError(f"{path}: scrape_configs is not a list of jobs")
    return entries


def _of_job(job: Data, defaults: Defaults, gateway: str) -> Iterator[Target]:
    ours = bool(job.get("oauth2")) or _is_gateway(job, gateway)
    if not ours and not _has_proxy(job) and not _mentions_cloud_run(job):
        return
    found = 0
    for groups, problem in _discovered(job, defaults):
        if problem is not None and ours:
            url = str(job.get("proxy_url") or "")
            transport = replace(scrape_config.transport(job, defaults), proxy_url=url)
            yield Target(job=str(job.get("job_name")), problem=problem, transport=transport)
            found += 1
        for target in scrape_config.targets(job, groups, defaults):
            if ours or target.host.endswith(".run.app") or _META in target.meta:
                found += 1
                yield target
    others = [name for name in job if name.endswith("_sd_configs") and name not in _DISCOVERIES]
    if others and ours:
        problem = Fault("unknown", f"its targets are in {others[0]}, which doctor cannot ask")
        yield Target(job=str(job.get("job_name")), problem=problem)
    elif not found and job.get("oauth2"):
        problem = Fault("no-targets", "no target is left after relabelling")
        yield Target(job=str(job.get("job_name")), problem=problem)


def _is_gateway(job: Data, gateway: str) -> bool:
    """Whether a job's HTTP proxy is runscrape-proxy: the one known, or one with its own targets."""
    proxy = _server(str(job.get("proxy_url") or ""))
    discovered = (str(each.get("url")) for each in job.get("http_sd_configs") or ())
    return proxy is not None and proxy in {_server(gateway), *map(_server, discovered)}


def _server(url: str) -> tuple[str, int | None] | None:
    """Give host and port, this machine under one name; None for what is no URL."""
    if not is_url(url):
        return None
    host = urlsplit(url).hostname or ""
    return "localhost" if is_loopback(host) else host, urlsplit(url).port


def _has_proxy(job: Data) -> bool:
    """Whether scrapes may go through the gateway by what their targets say of themselves."""
    from_environment = scrape_config.flag(job, "proxy_from_environment", default=False)
    return bool(job.get("proxy_url")) or from_environment


def _mentions_cloud_run(job: Data) -> bool:
    statics = job.get("static_configs") or ()
    return any(".run.app" in str(t) for group in statics for t in group.get("targets") or ())


def _discovered(job: Data, defaults: Defaults) -> Iterator[tuple[list[TargetGroup], Fault | None]]:
    """Ask each service discovery of a job that can be asked from here."""
    for group in job.get("static_configs") or ():
        yield [_group(group)], None
    for each in job.get("file_sd_configs") or ():
        for pattern in _list(each, "files"):
            yield _of_files(defaults.folder / str(pattern))
    for each in job.get("http_sd_configs") or ():
        yield _of_url(each, defaults, str(job.get("proxy_url") or ""))


def _group(data: Mapping[str, Any]) -> TargetGroup:
    labels = {
        name: value for name, value in (data.get("labels") or {}).items() if value is not None
    }
    return list(map(str, _list(data, "targets"))), labels


def _list(data: Data, name: str) -> list[Any]:
    found = data.get(name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list")  # noqa: TRY004 - of a file, not of a caller
    return found


def _of_files(pattern: Path) -> tuple[list[TargetGroup], Fault | None]:
    names = _found(pattern)
    groups: list[TargetGroup] = []
    for name in names:
        try:
            is_json = Path(name).suffix.lower() == ".json"
            meta = {"__meta_filepath": name}
            groups += _groups(Path(name).read_bytes(), meta, is_json=is_json)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or one_line(error)
            return groups, _no_targets(f"{name}: {why}", name)
    if names:
        return groups, None
    missing = {} if glob.has_magic(str(pattern)) else {"missing_file": str(pattern)}
    return groups, _no_targets(f"there is no file {pattern}", str(pattern), **missing)


def _of_url(data: Data, defaults: Defaults, proxy: str) -> tuple[list[TargetGroup], Fault | None]:
    """Ask for targets; where runscrape-proxy itself has them, its faults have their own causes."""
    url = str(data.get("url") or "")
    headers = {"Accept": "application/json"}
    login = scrape_config.credentials(data, defaults)
    oauth2 = data.get("oauth2")
    wanted = scrape_config.token_request(oauth2, defaults) if oauth2 else None
    try:
        headers |= login.headers() if login else {}
        secret = wanted.secret.read() if wanted else Secret()
    except OSError as error:
        return [], Fault("secret-unreadable", f"{error.filename}: {error.strerror}")
    if wanted is not None:
        got = token.ask(wanted, secret, _HTTP_SD_SECONDS)
        if got.token is None:
            return [], _no_token(Evidence(target=Target(job="", token=wanted), token=got), url)
        headers["Authorization"] = f"Bearer {got.token}"
    made = _asked(url, headers, data, defaults)
    problem = _not_got(made, at_proxy=bool(proxy) and urlsplit(proxy)[1] == urlsplit(url)[1])
    if problem is not None or made.answer is None:
        return [], problem
    try:
        return _groups(made.answer.body, {"__meta_url": url}, is_json=True), None
    except ValueError as error:
        return [], _no_targets(f"{made.url}: {one_line(error)}", made.url)


def _no_token(evidence: Evidence, url: str) -> Fault:
    """Say why there is no token for the targets, by the causes of any token."""
    fault = of_token.fault(evidence) or Fault("unknown")
    return Fault(fault.cause, f"for {without_secrets(url)}: {fault.detail}", fault.values)


def _asked(
    url: str, headers: Mapping[str, str], data: Data, defaults: Defaults, more: int = MOST_REDIRECTS
) -> Exchange:
    """Ask a URL, and follow ``more`` redirects if ``data`` does: to other hosts without a login."""
    transport = scrape_config.transport(data, defaults, url)
    made = exchange(Request(url=url, headers=headers, transport=transport), _HTTP_SD_SECONDS)
    after = sent_on(made.answer, url)
    if not after or not more or not scrape_config.flag(data, "follow_redirects", default=True):
        return made
    if urlsplit(after)[:2] != urlsplit(url)[:2]:
        headers = {name: value for name, value in headers.items() if name != "Authorization"}
    return _asked(after, headers, data, defaults, more - 1)


def _not_got(made: Exchange, *, at_proxy: bool) -> Fault | None:
    """Say why a URL gave no targets; None where it gave some."""
    if made.failure is not None and at_proxy:
        fault = to_proxy(made.failure)
        return Fault(fault.cause, f"{made.url}: {fault.detail}")
    if made.failure is not None:
        return _no_targets(f"{made.url}: {made.failure.reason}", made.url)
    status = made.answer.status if made.answer else 0
    if status == HTTPStatus.UNAUTHORIZED and at_proxy:
        return Fault("wrong-secret", f"{made.url} answers {status}")
    if status != HTTPStatus.OK:
        return _no_targets(f"{made.url} answers {status}", made.url)
    if made.answer is not None and made.answer.content_type != "application/json":
        return _no_targets(f"{made.url}: its Content-Type is not application/json", made.url)
    return None


def _no_targets(detail: str, place: str, **values: str) -> Fault:
    return Fault("no-targets", detail, {"targets_file": place, **values})


def _found(pattern: Path) -> list[str]:
    """Give the files that a pattern means to Go: hidden ones too."""
    return sorted(glob.glob(str(pattern), include_hidden=True))  # noqa: PTH207 - as Go's Glob


def _groups(content: bytes, meta: Mapping[str, str], *, is_json: bool) -> list[TargetGroup]:
    """Read what file_sd and http_sd give: a list of ``{targets, labels}``. Raises ValueError.

    As strict as Prometheus, which takes nothing of what has a mistake. ``meta`` is what it adds to
    the labels.
    """
    found = _json(content) if is_json else _yaml(content)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("not a list of target groups")
    for group in found:
        if unknown := group.keys() - {"targets", "labels"}:
            raise ValueError(f"{show(str(min(unknown)))} is no key of a target group")
        texts = (*_list(group, "targets"), *(group.get("labels") or {}).values())
        if any(not isinstance(each, str | None) for each in texts):
            raise ValueError("a target or a label is no text: it has to be in quotes")
    return [(addresses, {**labels, **meta}) for addresses, labels in map(_group, found)]


def _json(content: bytes) -> Any:
    """Read JSON; ValueError also for what Python would take (a byte order mark) or ends at.

    Half a surrogate pair becomes U+FFFD, as in Go: nothing could be asked for with it.
    """
    try:
        found = json.loads(content.decode())
        if b"\\ud" not in content.lower():
            return found
        text = json.dumps(found, ensure_ascii=False)
    except RecursionError:
        raise ValueError("is nested without end") from None
    return json.loads(SURROGATES.sub("\ufffd", text))
