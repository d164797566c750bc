"""The Kubernetes manifests: valid, restricted, and without a secret in the open."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.bootstrap.conftest import Written

OLDEST, NEWEST = "1.29", "1.34"
OWN_SCHEMA = {"monitoring.coreos.com/v1", "monitoring.coreos.com/v1alpha1"}
VOLUME_KINDS = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}


def documents(bundle: Path) -> Iterator[dict[str, Any]]:
    for path in (*bundle.glob("manifests/*.yaml"), *bundle.glob("operator/*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if "apiVersion" in document and document["kind"] != "Kustomization":
                yield document


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_schemas(written: Written, version: str) -> None:
    """Every object of Kubernetes' own is what its schema says, unknown fields refused."""
    kinds = set()
    for document in documents(written.kubernetes):
        if document["apiVersion"] not in OWN_SCHEMA:
            kubernetes_validate.validate(document, version, strict=True)
            kinds.add(document["kind"])
    assert kinds >= {"StatefulSet", "NetworkPolicy", "Service", "CronJob", "Role", "Secret"}


def test_a_schema_objects() -> None:
    """The validator would have said so."""
    bad = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"portz": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, NEWEST, strict=True)


def test_kustomize(written: Written) -> None:
    """Kubectl builds both kustomizations, and every reference in them finds its object."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    for folder in (written.kubernetes, written.kubernetes / "operator"):
        done = subprocess.run(
            ["kubectl", "kustomize", folder], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        built = list(yaml.safe_load_all(done.stdout))
        names = {(each["kind"], each["metadata"]["name"]) for each in built}
        for kind, name in re.findall(
            r"(configMap|secret):\n +(?:defaultMode: \d+\n +)?(?:name|secretName): (\S+)",
            done.stdout,
        ):
            assert (kind[0].upper() + kind[1:], name) in names


def pods(bundle: Path) -> dict[str, dict[str, Any]]:
    """Give the pod spec of each workload."""
    found = {}
    for document in documents(bundle):
        if document["kind"] == "StatefulSet":
            found["StatefulSet"] = document["spec"]["template"]["spec"]
        if document["kind"] == "CronJob":
            found["CronJob"] = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("kind", ["StatefulSet", "CronJob"])
def test_restricted(written: Written, kind: str) -> None:
    """Each field that the restricted Pod Security Standard looks at (1.25 and later):
    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted.
    """
    spec = pods(written.kubernetes)[kind]
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        assert not spec.get(field)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"sysctls", "seLinuxOptions", "windowsOptions"} & spec["securityContext"].keys()
    for volume in spec["volumes"]:
        assert (volume.keys() - {"name"}) <= VOLUME_KINDS
    for container in (*spec["initContainers"], *spec["containers"]):
        restricted(container)


def restricted(container: dict[str, Any]) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsNonRoot"] is True
    assert context.get("runAsUser", 1) != 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not context.get("privileged")
    assert "procMount" not in context
    assert all("hostPort" not in port for port in container.get("ports", []))
    # Not asked for by the standard, but by us.
    assert context["readOnlyRootFilesystem"] is True
    assert {"requests", "limits"} <= container["resources"].keys()
    assert container["resources"]["limits"]["memory"]


def test_the_operators_sidecar_is_restricted(written: Written) -> None:
    """The proxy that the patch adds to the user's Prometheus is held to the same."""
    patch = yaml.safe_load((written.kubernetes / "operator/prometheus-patch.yaml").read_text())
    (proxy,) = patch["spec"]["containers"]
    restricted(proxy)
    kubernetes_validate.validate(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x"},
            "spec": {"containers": [proxy], "volumes": patch["spec"]["volumes"]},
        },
        NEWEST,
        strict=True,
    )


def test_the_operators_secret(written: Written) -> None:
    """The proxy reads the key of the Secret that the ScrapeConfigs refer to."""
    patch = yaml.safe_load((written.kubernetes / "operator/prometheus-patch.yaml").read_text())
    (proxy,) = patch["spec"]["containers"]
    volume = next(each for each in patch["spec"]["volumes"] if "secret" in each)
    mount = next(each for each in proxy["volumeMounts"] if each["name"] == volume["name"])
    made = documents(written.kubernetes)
    configs = [each["spec"] for each in made if each["kind"] == "ScrapeConfig"]
    (secret,) = {
        tuple(each["oauth2"]["clientSecret"].items()) for each in configs if "oauth2" in each
    }
    assert dict(secret)["name"] == volume["secret"]["secretName"]
    assert f"{mount['mountPath']}/{dict(secret)['key']}" in proxy["command"]
    readme = (written.kubernetes / "README.md").read_text()
    assert f"--from-file={dict(secret)['key']}=secrets/client-secret" in readme


def test_the_namespace_enforces_it(written: Written) -> None:
    """The namespace is held to the restricted level too."""
    labels = yaml.safe_load((written.kubernetes / "manifests/namespace.yaml").read_text())[
        "metadata"
    ]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_identity(written: Written) -> None:
    """The pod has workload identity, and neither a key file nor a token for the cluster's API."""
    account = yaml.safe_load((written.kubernetes / "manifests/serviceaccount.yaml").read_text())
    email = "runscrape@demo.iam.gserviceaccount.com"
    assert account["metadata"]["annotations"] == {"iam.gke.io/gcp-service-account": email}
    spec = pods(written.kubernetes)["StatefulSet"]
    assert spec["serviceAccountName"] == account["metadata"]["name"]
    assert spec["automountServiceAccountToken"] is False
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in str(spec)


def test_probes(written: Written) -> None:
    """Prometheus and the proxy are probed; the proxy from inside, for it is on loopback."""
    containers = {
        each["name"]: each for each in pods(written.kubernetes)["StatefulSet"]["containers"]
    }
    assert containers["prometheus"].keys() >= {"startupProbe", "readinessProbe", "livenessProbe"}
    assert containers["proxy"].keys() >= {"startupProbe", "livenessProbe"}
    assert "runscrape.prom" in str(containers["generator"]["livenessProbe"])
    assert "exec" in containers["proxy"]["livenessProbe"]
    assert "127.0.0.1:7777" in containers["proxy"]["command"]


def test_only_prometheus_is_reached(written: Written) -> None:
    """The network policy lets nobody in but to Prometheus, from its own namespace."""
    policy = yaml.safe_load((written.kubernetes / "manifests/networkpolicy.yaml").read_text())[
        "spec"
    ]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (ingress,) = policy["ingress"]
    assert ingress == {
        "from": [{"podSelector": {}}],
        "ports": [{"port": 9090, "protocol": "TCP"}],
    }
    pod = yaml.safe_load((written.kubernetes / "manifests/prometheus.yaml").read_text())
    labels = pod["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_secret_is_a_secret(written: Written) -> None:
    """The client secret is in secrets/ alone: in no manifest, and no ConfigMap names its file."""
    secret = (written.kubernetes / "secrets/client-secret").read_text().strip()
    for path in written.kubernetes.rglob("*"):
        if path.is_file() and path.parent.name != "secrets":
            assert secret not in path.read_text(), path
    kustomization = yaml.safe_load((written.kubernetes / "kustomization.yaml").read_text())
    assert "secrets/" not in str(kustomization["configMapGenerator"])
    assert kustomization["secretGenerator"][0]["files"] == ["client-secret=secrets/client-secret"]
    assert "/secrets/" in (written.kubernetes / ".gitignore").read_text()


def test_the_operators_roles_suffice(written: Written) -> None:
    """What the CronJob applies and prunes, its role lets it, and no more than that."""
    objects = [each for each in documents(written.kubernetes) if each["kind"] == "Role"]
    (role,) = objects
    allowed = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if resource != "secrets"
    }
    assert allowed == {
        ("monitoring.coreos.com", "scrapeconfigs"): {"get", "list", "create", "patch", "delete"}
    }
    resources = list(
        yaml.safe_load_all((written.kubernetes / "operator/scrapeconfigs.yaml").read_text())
    )
    assert {each["kind"] for each in resources} == {"Secret", "ScrapeConfig"}
    (rule,) = (rule for rule in role["rules"] if "resourceNames" in rule)
    assert rule["resourceNames"] == [
        each["metadata"]["name"] for each in resources if each["kind"] == "Secret"
    ]


def test_the_operator_selects_what_is_written(written: Written) -> None:
    """The patch's selectors, and the CronJob's prune, match the labels of the resources."""
    patch = yaml.safe_load((written.kubernetes / "operator/prometheus-patch.yaml").read_text())[
        "spec"
    ]
    wanted = patch["scrapeConfigSelector"]["matchLabels"].items()
    made = [each for each in documents(written.kubernetes) if each["kind"] == "ScrapeConfig"]
    assert len(made) >= 3
    for resource in made:
        assert wanted <= resource["metadata"]["labels"].items()
    rules = [each for each in documents(written.kubernetes) if each["kind"] == "PrometheusRule"]
    for rule in rules:
        assert patch["ruleSelector"]["matchLabels"].items() <= rule["metadata"]["labels"].items()
        assert rule["spec"]["groups"]
    (apply,) = pods(written.kubernetes)["CronJob"]["containers"]
    (selector,) = (word for word in apply["command"] if word.startswith("--selector="))
    key, value = selector.removeprefix("--selector=").split("=")
    pruned = [each for each in made if each["metadata"]["labels"].get(key) == value]
    assert len(pruned) == len(made) - 1  # all but the proxy's own
