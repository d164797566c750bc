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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from runscrape_generator.config import vocabulary as words
from runscrape_generator.config.fields import Number, OneOrMany, Scalar, Text

OLDEST_PROMETHEUS, OLDEST_VMAGENT = "2.27", "1.79"

_AUTHENTICATION = "runscrape sets how the job authenticates"
_SECRET = "a secret does not belong in this file"
_TOKENS = "runscrape sets how the token is asked for"
_TARGETS = "runscrape finds the targets; use a job of your own beside the generated ones"


@dataclass(frozen=True, slots=True)
class Known:
    """The first release of each reader that knows a field or value; None where none does."""

    prometheus: str | None = OLDEST_PROMETHEUS
    vmagent: str | None = None
    renamed: str = ""
    """What Prometheus 3.0 calls it."""
    values: Mapping[str, Known] = field(default_factory=dict)
    """Of values that came later than the field."""

    def __call__(self, schema: dict[str, Any]) -> None:
        """Tell it in the JSON Schema."""
        if self.prometheus is None:
            schema["description"] = f"vmagent {self.vmagent} and later only."
        elif self.prometheus != OLDEST_PROMETHEUS:
            schema["description"] = f"Prometheus {self.prometheus} and later."


def _known(
    prometheus: str | None = OLDEST_PROMETHEUS,
    vmagent: str | None = None,
    *,
    key: str | None = None,
    renamed: str = "",
    values: Mapping[str, Known] | None = None,
) -> Any:
    notes: Any = Known(prometheus, vmagent, renamed, values or {})
    return Field(default=None, alias=key, json_schema_extra=notes)


def known(info: FieldInfo) -> Known:
    """Who knows the field; a field that no rule may set is no reader's business."""
    notes: Any = info.json_schema_extra
    return notes if isinstance(notes, Known) else Known(OLDEST_PROMETHEUS, OLDEST_VMAGENT)


@dataclass(frozen=True, slots=True)
class _Refused:
    """No rule may set it."""

    why: str

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Refuse whatever is given."""
        return core_schema.no_info_plain_validator_function(self._refuse)

    def _refuse(self, _value: object) -> None:
        raise ValueError(f"may not be set here: {self.why}")

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow nothing."""
        return {"not": {}}


_Any = Annotated[str, Scalar("text", r"[\s\S]*")]
_Limit = Annotated[int, Number("a whole number, 0 or above", 0, 2**63 - 1)]
_Factor = Annotated[float, Number("a number, 0 or above", 0, 1e300)]
_Size = Annotated[
    str, Scalar("a size such as 10MB", r"0|(?:[0-9]+(?:\.[0-9]+)?(?:B|[KMGTPE]i?B))+")
]
_VmSize = Annotated[str, Scalar("a size such as 10MB", r"[0-9]+(?:\.[0-9]+)?(?:[KMGT]i?B)?")]
_ProxyUrl = Annotated[
    str,
    Text(
        "a URL such as http://proxy:3128",
        r"[a-z][a-z0-9+]*://[^@\s]+",
        hint=lambda url: f": {_SECRET}, leave user and password out" if "@" in url else "",
    ),
]
_Protocol = Literal[
    "PrometheusProto",
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
]
_NEW_PROTOCOLS = {"PrometheusText1.0.0": Known("3.0")}
_TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class TlsConfig(_Block):
    """How a server is known, and we to it."""

    ca: _Any = _known("2.45", "1.112")
    ca_file: _Any = _known(vmagent="1.79")
    cert: _Any = _known("2.45", "1.112")
    cert_file: _Any = _known(vmagent="1.79")
    key: Annotated[Any, _Refused(f"{_SECRET}: use 'key_file'")] = None
    key_file: _Any = _known(vmagent="1.79")
    server_name: _Any = _known(vmagent="1.79")
    insecure_skip_verify: words.OnOff = _known(vmagent="1.79")
    min_version: _TlsVersion = _known("2.35", "1.79")
    max_version: _TlsVersion = _known("2.41")


class OAuth2(_Block):
    """How Prometheus reaches the proxy; who it is and what it asks for are no rule's business."""

    tls_config: TlsConfig = _known("2.31", "1.79")
    proxy_url: _ProxyUrl = _known("2.35", "1.79")
    no_proxy: _Any = _known("2.43")
    proxy_from_environment: words.OnOff = _known("2.43")
    client_id: Annotated[Any, _Refused("use --client-id")] = None
    client_secret: Annotated[Any, _Refused("use --client-secret-file")] = None
    client_secret_file: Annotated[Any, _Refused("use --client-secret-file")] = None
    token_url: Annotated[Any, _Refused("use --token-url")] = None
    endpoint_params: Annotated[Any, _Refused(_TOKENS)] = None
    scopes: Annotated[Any, _Refused(_TOKENS)] = None
    proxy_connect_header: Annotated[Any, _Refused(_SECRET)] = None


class Header(_Block):
    """The values of a header, written out or in files."""

    values: list[_Any] = _known("2.54")
    files: list[_Any] = _known("2.54")
    secrets: Annotated[Any, _Refused(f"{_SECRET}: use 'files'")] = None


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


_VMAGENTS = Known(None, "1.79")
_NEW_ACTIONS = {
    **dict.fromkeys(("lowercase", "uppercase"), Known("2.36", "1.79")),
    **dict.fromkeys(("keepequal", "dropequal"), Known("2.41", "1.112")),
    **dict.fromkeys(
        ("replace_all", "labelmap_all", "keep_metrics", "drop_metrics", "graphite"), _VMAGENTS
    ),
    **dict.fromkeys(("keep_if_equal", "drop_if_equal"), _VMAGENTS),
    **dict.fromkeys(("keep_if_contains", "drop_if_contains"), Known(None, "1.112")),
}
_NEED_TARGET = {"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"}


class Relabeling(_Block):
    """One step of ``relabel_configs`` or ``metric_relabel_configs``."""

    action: Annotated[_Action | None, BeforeValidator(_lower)] = _known(
        vmagent="1.79", values=_NEW_ACTIONS
    )
    source_labels: list[_Any] = _known(vmagent="1.79")
    separator: _Any = _known(vmagent="1.79")
    regex: Annotated[tuple[_Any, ...], OneOrMany()] = _known(vmagent="1.79")
    modulus: _Limit = _known(vmagent="1.79")
    target_label: _Any = _known(vmagent="1.79")
    replacement: _Any = _known(vmagent="1.79")
    condition: Annotated[tuple[_Any, ...], OneOrMany()] = _known(None, "1.79", key="if")
    match: _Any = _known(None, "1.79")
    labels: dict[str, _Any] = _known(None, "1.79")

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
    **dict.fromkeys(("proxy_headers", "proxy_connect_header"), _SECRET),
    **dict.fromkeys(("proxy_authorization", "proxy_basic_auth", "proxy_bearer_token"), _SECRET),
    **dict.fromkeys(("proxy_bearer_token_file", "proxy_oauth2"), "leave it to the proxy"),
    **{f"{name}_sd_configs": _TARGETS for name in _DISCOVERIES},
}
"""Fields of a job that a rule may not set, and what to do instead."""

_Refusing: Any = create_model(  # type: ignore[call-overload]
    "_Refusing",
    __base__=_Block,
    **{name: (Annotated[Any, _Refused(why)], None) for name, why in _REFUSED.items()},
)


class Job(_Refusing):  # type: ignore[misc] # made of a table
    """The fields of a job that a rule may set."""

    honor_labels: words.OnOff = _known(vmagent="1.79")
    honor_timestamps: words.OnOff = _known(vmagent="1.79")
    track_timestamps_staleness: words.OnOff = _known("2.48")
    enable_compression: words.OnOff = _known("2.49", "1.112")
    enable_http2: words.OnOff = _known("2.35")
    scrape_protocols: Annotated[list[_Protocol], Field(min_length=1)] = _known(
        "2.49", values=_NEW_PROTOCOLS
    )
    fallback_scrape_protocol: _Protocol = _known("3.0")
    scrape_native_histograms: words.OnOff = _known("3.8")
    scrape_classic_histograms: words.OnOff = _known(
        "2.45", renamed="always_scrape_classic_histograms"
    )
    always_scrape_classic_histograms: words.OnOff = _known("3.0")
    convert_classic_histograms_to_nhcb: words.OnOff = _known("3.0")
    native_histogram_bucket_limit: _Limit = _known("2.45")
    native_histogram_min_bucket_factor: _Factor = _known("2.50")
    metric_name_validation_scheme: Literal["utf8", "legacy", ""] = _known("2.55")
    metric_name_escaping_scheme: Literal["allow-utf-8", "underscores", "dots", "values", ""] = (
        _known("3.4")
    )
    extra_scrape_metrics: words.OnOff = _known("3.10")
    scrape_failure_log_file: _Any = _known("2.55")
    body_size_limit: _Size = _known("2.28")
    sample_limit: _Limit = _known(vmagent="1.79")
    target_limit: _Limit = _known()
    label_limit: _Limit = _known(vmagent="1.145")
    label_name_length_limit: _Limit = _known()
    label_value_length_limit: _Limit = _known()
    keep_dropped_targets: _Limit = _known("2.47")
    tls_config: TlsConfig = _known(vmagent="1.79")
    oauth2: OAuth2 = _known(vmagent="1.79")
    proxy_url: _ProxyUrl = _known(vmagent="1.79")
    no_proxy: _Any = _known("2.43")
    proxy_from_environment: words.OnOff = _known("2.43")
    http_headers: dict[Annotated[str, BeforeValidator(_settable)], Header] = _known("2.54")
    relabel_configs: list[Relabeling] = _known(vmagent="1.79")
    metric_relabel_configs: list[Relabeling] = _known(vmagent="1.79")

    # vmagent's own
    headers: list[_Any] = _known(None, "1.79")
    disable_compression: words.OnOff = _known(None, "1.79")
    disable_keepalive: words.OnOff = _known(None, "1.79")
    stream_parse: words.OnOff = _known(None, "1.79")
    no_stale_markers: words.OnOff = _known(None, "1.112")
    scrape_align_interval: words.Duration = _known(None, "1.79")
    scrape_offset: words.Duration = _known(None, "1.79")
    series_limit: _Limit = _known(None, "1.79")
    max_scrape_size: _VmSize = _known(None, "1.112")
    proxy_tls_config: TlsConfig = _known(None, "1.79")


class _AsJob:
    """Plain data that a rule merges into the job; checked where it is read from a file."""

    def __get_pydantic_core_schema__(
        self, _source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check it as a :class:`Job`, and keep it as it is written."""
        return core_schema.with_info_wrap_validator_function(self._check, handler(Job))

    def _check(self, data: Any, validate: Any, info: ValidationInfo) -> Any:
        if info.context is not None:
            validate(data)
        return data


ScrapeConfig = Annotated[dict[str, Any], _AsJob()]
