"""The names that the Prometheus Operator's ScrapeConfig has for the fields of a scrape_config."""

from __future__ import annotations

FIELDS = {
    "basic_auth": "basicAuth",
    "enable_compression": "enableCompression",
    "enable_http2": "enableHTTP2",
    "fallback_scrape_protocol": "fallbackScrapeProtocol",
    "file_sd_configs": "fileSDConfigs",
    "honor_labels": "honorLabels",
    "http_sd_configs": "httpSDConfigs",
    "honor_timestamps": "honorTimestamps",
    "job_name": "jobName",
    "keep_dropped_targets": "keepDroppedTargets",
    "label_limit": "labelLimit",
    "label_name_length_limit": "labelNameLengthLimit",
    "label_value_length_limit": "labelValueLengthLimit",
    "metric_relabel_configs": "metricRelabelings",
    "metrics_path": "metricsPath",
    "no_proxy": "noProxy",
    "oauth2": "oauth2",
    "params": "params",
    "proxy_from_environment": "proxyFromEnvironment",
    "proxy_url": "proxyUrl",
    "relabel_configs": "relabelings",
    "sample_limit": "sampleLimit",
    "scheme": "scheme",
    "scrape_interval": "scrapeInterval",
    "scrape_protocols": "scrapeProtocols",
    "scrape_timeout": "scrapeTimeout",
    "static_configs": "staticConfigs",
    "target_limit": "targetLimit",
    "tls_config": "tlsConfig",
    "track_timestamps_staleness": "trackTimestampsStaleness",
}
"""Prometheus' field → the CRD's (prometheus-operator, scrapeconfig_types.go, v1alpha1)."""

_RELABELING = {
    "action": "action",
    "modulus": "modulus",
    "regex": "regex",
    "replacement": "replacement",
    "separator": "separator",
    "source_labels": "sourceLabels",
    "target_label": "targetLabel",
}

OAUTH2 = {
    "endpoint_params": "endpointParams",
    "no_proxy": "noProxy",
    "proxy_from_environment": "proxyFromEnvironment",
    "proxy_url": "proxyUrl",
    "tls_config": "tlsConfig",
    "token_url": "tokenUrl",
}

_TLS = {
    "insecure_skip_verify": "insecureSkipVerify",
    "max_version": "maxVersion",
    "min_version": "minVersion",
    "server_name": "serverName",
}
"""The rest of tls_config names files, where the CRD wants references to Secrets."""

PARTS = {
    "metric_relabel_configs": _RELABELING,
    "oauth2": OAUTH2,
    "relabel_configs": _RELABELING,
    "tls_config": _TLS,
}
"""The fields that have fields of their own under other names."""
