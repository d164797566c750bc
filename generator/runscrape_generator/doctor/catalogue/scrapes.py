"""Why what the app answers is no good to Prometheus, and why Prometheus does not even ask."""

from __future__ import annotations

from runscrape_generator.doctor.catalogue.commands import (
    GENERATE,
    LOGS,
    ONE_WARM,
    PATH,
    RELOAD,
    TIMEOUT,
)
from runscrape_generator.doctor.causes import Cause

_CONFIG = "prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config"
_FORMATS = "prometheus.io/docs/instrumenting/exposition_formats/"
_MIGRATION = "prometheus.io/docs/prometheus/latest/migration/"
_API = "prometheus.io/docs/prometheus/latest/querying/api/#targets"
_HEADERS = "cloud.google.com/run/docs/authenticating/service-to-service"
_COLD = "cloud.google.com/run/docs/tips/general"

CAUSES = (
    Cause(
        name="app-wants-credentials",
        title="401 by the app itself: the ID token stands where it expects its own credentials",
        remedy="scrape it through the gateway, with token_header or app_credentials by rule "
        "(Cloud Run removes the token's signature, so no app can verify it)",
        source=_HEADERS,
    ),
    Cause(
        name="app-forbids",
        title="403 by the app itself",
        remedy="let the app serve its metrics to whoever passes Cloud Run's own check",
        commands=(LOGS,),
        source=_HEADERS,
    ),
    Cause(
        name="wrong-path",
        title="404 by the app itself: it serves nothing under this path",
        remedy="say where its metrics are: annotation prometheus.io/path, label prometheus-path, "
        "or a rule's endpoints{working_path}",
        commands=(PATH,),
        source=_CONFIG,
    ),
    Cause(
        name="redirect",
        title="the app redirects, and redirects are not followed",
        remedy="scrape what it redirects to, if that is the service's own: {location}",
        commands=(PATH,),
        source=_CONFIG,
    ),
    Cause(
        name="app-error",
        title="the app itself answers with an error",
        remedy="look at the service's logs",
        commands=(LOGS,),
        source=_CONFIG,
    ),
    Cause(
        name="cold-start",
        title="a cold start takes longer than the scrape timeout",
        remedy="keep an instance warm, or raise the scrape timeout to {fitting} (and the "
        "interval, if that is shorter)",
        commands=(ONE_WARM, TIMEOUT),
        source=_COLD,
    ),
    Cause(
        name="too-slow",
        title="the answer takes longer than the scrape timeout",
        remedy="raise the scrape timeout to {fitting} (and the interval, if that is shorter), or "
        "let the app serve less",
        commands=(TIMEOUT,),
        source=_CONFIG,
    ),
    Cause(
        name="hangs",
        title="the service does not answer at all",
        remedy="look at the service's logs for what the request waits for",
        commands=(LOGS,),
        source=_CONFIG,
    ),
    Cause(
        name="broken-off",
        title="the answer breaks off before its end",
        remedy="look at the service's logs for a crash, and at its memory limit",
        commands=(LOGS,),
        source="RFC 9112, section 8",
    ),
    Cause(
        name="not-metrics",
        title="the answer is a page or JSON, not metrics",
        remedy="say where the metrics are: annotation prometheus.io/path, label prometheus-path, "
        "or a rule's endpoints{working_path}",
        commands=(PATH,),
        source=_FORMATS,
    ),
    Cause(
        name="no-content-type",
        title="the answer has no Content-Type that Prometheus 3 knows",
        remedy="let the app send text/plain; version=0.0.4, or write jobs with "
        "--prometheus-version 3.0, which sets fallback_scrape_protocol",
        commands=((*GENERATE, "--prometheus-version", "3.0"),),
        source=_MIGRATION,
    ),
    Cause(
        name="malformed",
        title="the answer has a line that is no sample: Prometheus takes nothing of it",
        remedy="mend the app's exposition",
        source=_FORMATS,
    ),
    Cause(
        name="body-too-large",
        title="the answer is larger than the job's body_size_limit",
        remedy="raise body_size_limit above {size} bytes, or let the app serve less",
        source=_CONFIG,
    ),
    Cause(
        name="too-many-samples",
        title="the answer has more samples than the job's sample_limit",
        remedy="raise sample_limit above {count}, or drop series by metric_relabel_configs",
        source=_CONFIG,
    ),
    Cause(
        name="labels-over-limit",
        title="a sample's labels are over one of the job's limits",
        remedy="raise the limit, or drop the label by metric_relabel_configs",
        source=_CONFIG,
    ),
    Cause(
        name="dropped",
        title="Prometheus drops the target before it scrapes it",
        remedy="make the scrape timeout no longer than the interval",
        commands=(GENERATE,),
        source=_CONFIG,
    ),
    Cause(
        name="no-targets",
        title="the job has no targets: its file or URL gives none",
        remedy="write the target file, or let Prometheus see it: {targets_file}",
        commands=(("{*targets}",),),
        source=_CONFIG,
    ),
    Cause(
        name="other-file",
        title="Prometheus reads another configuration file, without this target",
        remedy="start Prometheus with --config.file={config_file}, or write to the file that it "
        "reads: {other_file}",
        source="prometheus.io/docs/prometheus/latest/querying/api/#flags",
    ),
    Cause(
        name="not-loaded",
        title="Prometheus does not have this target: it has not read the file since",
        remedy="reload Prometheus",
        commands=(RELOAD,),
        source="prometheus.io/docs/prometheus/latest/management_api/#reload",
    ),
    Cause(
        name="old-job",
        title="Prometheus scrapes by an older version of the job",
        remedy="reload Prometheus",
        commands=(RELOAD,),
        source="prometheus.io/docs/prometheus/latest/management_api/#reload",
    ),
    Cause(
        name="old-token",
        title="Prometheus still uses an old token: it asks for another only when that ends",
        remedy="restart Prometheus, or wait until the token ends (an hour at most)",
        source="golang.org/x/oauth2, ReuseTokenSource",
    ),
    Cause(
        name="prometheus-differs",
        title="Prometheus fails where doctor does not",
        remedy="run doctor where Prometheus runs: it may have another network, DNS, proxy or clock",
        source=_API,
    ),
    Cause(
        name="unknown",
        title="an answer that doctor does not know",
        remedy="look at what was seen; if it is Google's, please report it",
        source="none",
    ),
)
