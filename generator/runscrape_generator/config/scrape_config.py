"""What a rule's ``scrape_config`` may say: a Prometheus job but for what runscrape promises of it.

Refused are the job's name, its targets and its authentication (runscrape sets these, and the
inventory repeats them to the proxy), whatever would carry the token elsewhere, and secrets written
out in full, because settings are printed by ``--print-config`` and the output is world-readable.

Each field has the release that brought it. Sources: for Prometheus ``config/config.go`` of 2.42 to
3.14, ``http_config.go`` of the prometheus/common that each uses, and the changelog for older ones;
for vmagent what its releases 1.79, 1.112 and 1.145 take with ``-dryRun``, strict as they are by
default: a field is dated by the first of the three that takes it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from runscrape_generator.config import vocabulary
from runscrape_generator.config.fields import OneOrMany
from runscrape_generator.config.job_fields import (
    SECRET,
    AnyText,
    Factor,
    FieldBlock,
    FirstReleases,
    Limit,
    ProxyUrl,
    Refused,
    Size,
    VmagentSize,
    since,
)

_AUTHENTICATION = "runscrape sets how the job authenticates"
_TOKENS = "runscrape sets how the token is asked for"
_TARGETS = "runscrape finds the targets; use a job of your own beside the generated ones"


_Protocol = Literal[
    "PrometheusProto",
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
]
_NEW_PROTOCOLS = {"PrometheusText1.0.0": FirstReleases("3.0")}
_TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


class TlsConfig(FieldBlock):
    """How a server is known, and we to it."""

    ca: AnyText = since("2.45", "1.112")
    ca_file: AnyText = since(vmagent="1.79")
    cert: AnyText = since("2.45", "1.112")
    cert_file: AnyText = since(vmagent="1.79")
    key: Annotated[Any, Refused(f"{SECRET}: use 'key_file'")] = None
    key_file: AnyText = since(vmagent="1.79")
    server_name: AnyText = since(vmagent="1.79")
    insecure_skip_verify: vocabulary.OnOff = since(vmagent="1.79")
    min_version: _TlsVersion = since("2.35", "1.79")
    max_version: _TlsVersion = since("2.41")


class OAuth2(FieldBlock):
    """How Prometheus reaches the proxy; who it is and what it asks for are no rule's business."""

    tls_config: TlsConfig = since("2.31", "1.79")
    proxy_url: ProxyUrl = since("2.35", "1.79")
    no_proxy: AnyText = since("2.43")
    proxy_from_environment: vocabulary.OnOff = since("2.43")
    client_id: Annotated[Any, Refused("use --client-id")] = None
    client_secret: Annotated[Any, Refused("use --client-secret-file")] = None
    client_secret_file: Annotated[Any, Refused("use --client-secret-file")] = None
    token_url: Annotated[Any, Refused("use --token-url")] = None
    endpoint_params: Annotated[Any, Refused(_TOKENS)] = None
    scopes: Annotated[Any, Refused(_TOKENS)] = None
    proxy_connect_header: Annotated[Any, Refused(SECRET)] = None


class Header(FieldBlock):
    """The values of a header, written out or in files."""

    values: list[AnyText] = since("2.54")
    files: list[AnyText] = since("2.54")
    secrets: Annotated[Any, Refused(f"{SECRET}: use 'files'")] = None


_NOT_OURS = {  # prometheus/common, ReservedHeaders
    *("authorization", "host", "content-encoding", "content-length", "content-type"),
    *("user-agent", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
    *("www-authenticate", "accept-encoding", "x-prometheus-scrape-timeout-seconds"),
    *("x-prometheus-remote-write-version", "x-prometheus-remote-read-version"),
    *("x-amz-date", "x-amz-security-token", "x-amz-content-sha256"),
}


def _settable(name: Any) -> Any:
    if str(name).lower() in _NOT_OURS:
        raise ValueError("Prometheus sets this header itself, and refuses another")
    return name


_Action = Literal[
    "replace",
    "keep",
    "drop",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
    "keepequal",
    "dropequal",
    "replace_all",
    "labelmap_all",
    "keep_metrics",
    "drop_metrics",
    "graphite",
    "keep_if_equal",
    "drop_if_equal",
    "keep_if_contains",
    "drop_if_contains",
]


def _lower(word: Any) -> Any:
    """Prometheus takes ``Keep`` too."""
    return word.lower() if isinstance(word, str) else word


_VMAGENTS = FirstReleases(None, "1.79")
_NEW_ACTIONS = {
    **dict.fromkeys(("lowercase", "uppercase"), FirstReleases("2.36", "1.79")),
    **dict.fromkeys(("keepequal", "dropequal"), FirstReleases("2.41", "1.112")),
    **dict.fromkeys(
        ("replace_all", "labelmap_all", "keep_metrics", "drop_metrics", "graphite"), _VMAGENTS
    ),
    **dict.fromkeys(("keep_if_equal", "drop_if_equal"), _VMAGENTS),
    **dict.fromkeys(("keep_if_contains", "drop_if_contains"), FirstReleases(None, "1.112")),
}
_NEED_TARGET = {"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"}


class Relabeling(FieldBlock):
    """One step of ``relabel_configs`` or ``metric_relabel_configs``."""

    action: Annotated[_Action | None, BeforeValidator(_lower)] = since(
        vmagent="1.79", values=_NEW_ACTIONS
    )
    source_labels: list[AnyText] = since(vmagent="1.79")
    separator: AnyText = since(vmagent="1.79")
    regex: Annotated[tuple[AnyText, ...], OneOrMany()] = since(vmagent="1.79")
    modulus: Limit = since(vmagent="1.79")
    target_label: AnyText = since(vmagent="1.79")
    replacement: AnyText = since(vmagent="1.79")
    condition: Annotated[tuple[AnyText, ...], OneOrMany()] = since(None, "1.79", key="if")
    match: AnyText = since(None, "1.79")
    labels: dict[str, AnyText] = since(None, "1.79")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        action = self.action or "replace"
        if action in _NEED_TARGET and not self.target_label:
            raise ValueError(f"action {action} needs a target_label")
        if action == "hashmod" and not self.modulus:
            raise ValueError("action hashmod needs a modulus above 0")
        return self


_DISCOVERIES = (
    *("aws", "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "ecs"),
    *("elasticache", "eureka", "file", "gce", "hetzner", "http", "ionos", "kubernetes", "kuma"),
    *("lightsail", "linode", "marathon", "msk", "nerve", "nomad", "oci", "openstack", "outscale"),
    *("ovhcloud", "puppetdb", "rds", "scaleway", "serverset", "stackit", "triton", "uyuni"),
    *("vultr", "consulagent", "yandexcloud"),
)
_REFUSED = {
    "job_name": "use the rule's 'job'",
    "scheme": "services are scraped over https, and runscrape sets it",
    "metrics_path": "use the rule's 'endpoints'",
    "params": "use the rule's 'params'",
    "scrape_interval": "use the rule's 'scrape_interval'",
    "scrape_timeout": "use the rule's 'scrape_timeout'",
    "follow_redirects": "it stays off, because a redirect would take the token along",
    "static_configs": "runscrape sets the targets; use the rule's 'target' and 'labels'",
    **dict.fromkeys(("basic_auth", "authorization", "bearer_token"), _AUTHENTICATION),
    **dict.fromkeys(("bearer_token_file", "sigv4", "azuread", "google_iam"), _AUTHENTICATION),
    **dict.fromkeys(("proxy_headers", "proxy_connect_header"), SECRET),
    **dict.fromkeys(("proxy_authorization", "proxy_basic_auth", "proxy_bearer_token"), SECRET),
    **dict.fromkeys(("proxy_bearer_token_file", "proxy_oauth2"), "leave it to the proxy"),
    **{f"{name}_sd_configs": _TARGETS for name in _DISCOVERIES},
}
"""Fields of a job that a rule may not set, and what to do instead."""

_Refusing: Any = create_model(  # type: ignore[call-overload]
    "_Refusing",
    __base__=FieldBlock,
    **{name: (Annotated[Any, Refused(why)], None) for name, why in _REFUSED.items()},
)


class JobFields(_Refusing):  # type: ignore[misc] # made of a table
    """The fields of a job that a rule may set."""

    honor_labels: vocabulary.OnOff = since(vmagent="1.79")
    honor_timestamps: vocabulary.OnOff = since(vmagent="1.79")
    track_timestamps_staleness: vocabulary.OnOff = since("2.48")
    enable_compression: vocabulary.OnOff = since("2.49", "1.112")
    enable_http2: vocabulary.OnOff = since("2.35")
    scrape_protocols: Annotated[list[_Protocol], Field(min_length=1)] = since(
        "2.49", values=_NEW_PROTOCOLS
    )
    fallback_scrape_protocol: _Protocol = since("3.0")
    scrape_native_histograms: vocabulary.OnOff = since("3.8")
    scrape_classic_histograms: vocabulary.OnOff = since(
        "2.45", renamed="always_scrape_classic_histograms"
    )
    always_scrape_classic_histograms: vocabulary.OnOff = since("3.0")
    convert_classic_histograms_to_nhcb: vocabulary.OnOff = since("3.0")
    native_histogram_bucket_limit: Limit = since("2.45")
    native_histogram_min_bucket_factor: Factor = since("2.50")
    metric_name_validation_scheme: Literal["utf8", "legacy", ""] = since("2.55")
    metric_name_escaping_scheme: Literal["allow-utf-8", "underscores", "dots", "values", ""] = (
        since("3.4")
    )
    extra_scrape_metrics: vocabulary.OnOff = since("3.10")
    scrape_failure_log_file: AnyText = since("2.55")
    body_size_limit: Size = since("2.28")
    sample_limit: Limit = since(vmagent="1.79")
    target_limit: Limit = since()
    label_limit: Limit = since(vmagent="1.145")
    label_name_length_limit: Limit = since()
    label_value_length_limit: Limit = since()
    keep_dropped_targets: Limit = since("2.47")
    tls_config: TlsConfig = since(vmagent="1.79")
    oauth2: OAuth2 = since(vmagent="1.79")
    proxy_url: ProxyUrl = since(vmagent="1.79")
    no_proxy: AnyText = since("2.43")
    proxy_from_environment: vocabulary.OnOff = since("2.43")
    http_headers: dict[Annotated[str, BeforeValidator(_settable)], Header] = since("2.54")
    relabel_configs: list[Relabeling] = since(vmagent="1.79")
    metric_relabel_configs: list[Relabeling] = since(vmagent="1.79")

    # vmagent's own
    headers: list[AnyText] = since(None, "1.79")
    disable_compression: vocabulary.OnOff = since(None, "1.79")
    disable_keepalive: vocabulary.OnOff = since(None, "1.79")
    stream_parse: vocabulary.OnOff = since(None, "1.79")
    no_stale_markers: vocabulary.OnOff = since(None, "1.112")
    scrape_align_interval: vocabulary.Duration = since(None, "1.79")
    scrape_offset: vocabulary.Duration = since(None, "1.79")
    series_limit: Limit = since(None, "1.79")
    max_scrape_size: VmagentSize = since(None, "1.112")
    proxy_tls_config: TlsConfig = since(None, "1.79")


def _check(data: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Check what a rule merges into the job where it is read, and keep it as it is written."""
    if info.context is not None:
        validate(data)
    return data


def _as_job(_source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return core_schema.with_info_wrap_validator_function(_check, handler(JobFields))


ScrapeConfig = Annotated[dict[str, Any], GetPydanticSchema(_as_job)]
