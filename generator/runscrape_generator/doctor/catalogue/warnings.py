"""What is worth a look at a target that is up."""

from __future__ import annotations

from functools import partial

from runscrape_generator.doctor.catalogue.commands import CLOCK, ONE_AT_MOST, ONE_WARM, SERVICE
from runscrape_generator.doctor.causes import Cause, Severity

_SCALING = "cloud.google.com/run/docs/configuring/max-instances"
_MINIMUM = "cloud.google.com/run/docs/configuring/min-instances"
_FORMATS = "prometheus.io/docs/instrumenting/exposition_formats/"

_Warning = partial(Cause, severity=Severity.WARNING)

CAUSES = (
    _Warning(
        name="update-failed",
        title="the newest revision failed; the one before it serves",
        remedy="mend what the condition says, and deploy again",
        commands=(("gcloud", "run", "revisions", "describe", "{revision}", *SERVICE[1:]),),
        source="cloud.google.com/run/docs/troubleshooting",
    ),
    _Warning(
        name="counters-jump",
        title="two scrapes were answered by different instances: counters jump",
        remedy="let one instance serve the metrics (maxInstances 1), or push them from each",
        commands=(ONE_AT_MOST,),
        source=_SCALING,
    ),
    _Warning(
        name="redirect-followed",
        title="the app redirects, and the job follows: before Prometheus 3.13 with the token, to "
        "any host",
        remedy="set follow_redirects: false, and scrape {path} itself",
        source="prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config",
    ),
    _Warning(
        name="clock-off",
        title="this machine's clock differs from Google's by more than 30 s",
        remedy="set the clock, and keep it set (chrony, NTP)",
        commands=(CLOCK,),
        source="RFC 9110, section 6.6.1",
    ),
    _Warning(
        name="ca-file-missing",
        title="the job's tls_config names a CA file that is not here; the system's CAs were used",
        remedy="check the path {ca_file} where Prometheus runs: it makes no target of a job whose "
        "CA file is missing",
        source="prometheus.io/docs/prometheus/latest/configuration/configuration/#tls_config",
    ),
    _Warning(
        name="near-timeout",
        title="the answer took more than half of the scrape timeout",
        remedy="raise the scrape timeout to {fitting}, or keep an instance warm",
        commands=(ONE_WARM,),
        source=_MINIMUM,
    ),
    _Warning(
        name="secret-in-body-only",
        title="the token endpoint takes the client secret in the body only: each request is made "
        "twice",
        remedy="let runscrape-proxy answer there: it takes the secret either way",
        source="golang.org/x/oauth2, as Prometheus uses it",
    ),
    _Warning(
        name="token-kept-for-ever",
        title="the token endpoint says no expires_in: Prometheus keeps the token past its end",
        remedy="let runscrape-proxy answer there, or make that server say expires_in",
        source="golang.org/x/oauth2, as Prometheus uses it",
    ),
    _Warning(
        name="token-too-short",
        title="the token is used for 10 s or less: Prometheus asks for one at every scrape",
        remedy="look at the proxy's page for why it is not renewed",
        source="golang.org/x/oauth2, expiryDelta",
    ),
    _Warning(
        name="duplicate-samples",
        title="a series is there twice: Prometheus keeps the first sample only",
        remedy="mend the app's exposition",
        source=_FORMATS,
    ),
    _Warning(
        name="timestamps-off",
        title="samples carry timestamps that Prometheus drops",
        remedy="let the app send no timestamps (or set honor_timestamps: false); they are in "
        "milliseconds",
        source=_FORMATS,
    ),
    _Warning(
        name="no-samples",
        title="the answer has no sample in it",
        remedy="check the app, and the job's metric_relabel_configs",
        source=_FORMATS,
    ),
    _Warning(
        name="content-type-for-3",
        title="the answer has no Content-Type that Prometheus 3 knows; Prometheus 2 takes it",
        remedy="let the app send text/plain; version=0.0.4 before you upgrade, or write jobs with "
        "--prometheus-version 3.0",
        source="prometheus.io/docs/prometheus/latest/migration/",
    ),
    _Warning(
        name="many-instances",
        title="maxInstances is above 1: a scrape reaches one random instance",
        remedy="aggregate gauges with max_over_time, or let one instance serve the metrics",
        commands=(ONE_AT_MOST,),
        source=_SCALING,
    ),
    _Warning(
        name="scales-to-zero",
        title="minInstances is 0: each scrape may wake, and bill, an instance",
        remedy="keep an instance warm, or scrape less often",
        commands=(ONE_WARM,),
        source=_MINIMUM,
    ),
)
