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

from tests.bootstrap.conftest import Google, Written
from tests.kit import fast_yaml as yaml

OLDEST, NEWEST = "1.29", "1.34"
OWN_SCHEMA = {"monitoring.coreos.com/v1", "monitoring.coreos.com/v1alpha1"}
VOLUME_KINDS = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}


def documents(bundle: Path) -> Iterator[dict[str, Any]]:
    for path in (*bundle.glob("manifests/*.yaml"), *bundle.glob("operator/*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if "apiVersion" in document and document["kind"] != "Kustomization":
                yield document


@pytest.fixture(scope="module")
def plain(google: Google, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle without the operator, with every option of a platform engineer."""
    arguments = [
        *("--platform", "kubernetes", "--volume-size", "50Gi", "--storage-class", "ssd"),
        *("--retention", "30d", "--alertmanager", "alerts.monitoring.svc:9093"),
        *("--external-label", "cluster=eu", "--object-label", "team=core"),
        *("--ingress-namespace", "grafana", "--image-pull-secret", "registry"),
    ]
    return google.write(tmp_path_factory.mktemp("plain") / "b", *arguments)


@pytest.mark.parametrize(
    ("image", "typed"),
    [
        ("registry.example/runscrape:1", "build --tag {0} . && docker push {0}"),
        ("localhost/runscrape:1", "build --tag {0} ."),
    ],
)
def test_an_image_is_pushed_where_there_is_a_registry(
    google: Google, tmp_path: Path, image: str, typed: str
) -> None:
    """The README pushes an image to the registry in its name; one of this machine goes nowhere."""
    arguments = ["--platform", "kubernetes", "--image", image]
    readme = (google.write(tmp_path / "b", *arguments) / "README.md").read_text()
    assert re.findall(r"^ *docker (.*)$", readme, re.MULTILINE) == [typed.format(image)]
    assert ("runscrape bootstrap . --image registry.example/" in readme) is ("push" not in typed)


def test_options_of_the_platform(plain: Path) -> None:
    """Each option is where the platform looks for it."""
    built = {each["kind"]: each for each in kustomize(plain) if each["kind"] != "ConfigMap"}
    for each in built.values():
        assert each["metadata"]["labels"]["team"] == "core"
    spec = built["StatefulSet"]["spec"]
    assert spec["template"]["metadata"]["labels"]["team"] == "core"
    assert spec["selector"] == {"matchLabels": {"app.kubernetes.io/name": "runscrape"}}
    assert spec["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert claim["spec"]["storageClassName"] == "ssd"
    prometheus = spec["template"]["spec"]["containers"][0]
    assert "--storage.tsdb.retention.time=30d" in prometheus["args"]
    assert "--storage.tsdb.retention.size=40GB" in prometheus["args"]
    policy = built["NetworkPolicy"]["spec"]
    (ingress,) = policy["ingress"]
    grafana = {"matchLabels": {"kubernetes.io/metadata.name": "grafana"}}
    assert ingress["from"] == [{"podSelector": {}}, {"namespaceSelector": grafana}]
    assert {"ports": [{"port": 9093, "protocol": "TCP"}]} in policy["egress"]
    config = yaml.safe_load((plain / "state/prometheus.yml").read_text())
    assert config["global"]["external_labels"] == {"cluster": "eu"}
    (manager,) = config["alerting"]["alertmanagers"]
    assert manager["static_configs"] == [{"targets": ["alerts.monitoring.svc:9093"]}]


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
    for folder in (written.kubernetes, written.kubernetes / "operator"):
        built = kustomize(folder)
        names = {(each["kind"], each["metadata"]["name"]) for each in built}
        for kind, name in re.findall(
            r"(configMap|secret):\n +(?:defaultMode: \d+\n +)?(?:name|secretName): (\S+)",
            yaml.safe_dump(built),
        ):
            if name not in {"runscrape-client", "runscrape-inventory"}:  # made by later commands
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


@pytest.fixture(scope="module")
def labelled(google: Google, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle for a Prometheus of the user's own, which selects by a label."""
    arguments = ["--platform", "kubernetes", "--operator", "--operator-label", "release=mine"]
    return google.write(tmp_path_factory.mktemp("labelled") / "b", *arguments)


def sidecars(written: Written, labelled: Path) -> Iterator[dict[str, Any]]:
    """Give what has the proxy's container and volumes: our own Prometheus, and the user's lists."""
    text = (written.kubernetes / "operator/prometheus.yaml").read_text()
    yield next(each["spec"] for each in yaml.safe_load_all(text) if each["kind"] == "Prometheus")
    yield yaml.safe_load((labelled / "operator/sidecar.yaml").read_text())


def test_the_operators_sidecar_is_restricted(written: Written, labelled: Path) -> None:
    """The proxy beside either Prometheus is held to the same."""
    for spec in sidecars(written, labelled):
        (proxy,) = spec["containers"]
        restricted(proxy)
        pod = {"containers": [proxy], "volumes": spec["volumes"]}
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}
        kubernetes_validate.validate(document, NEWEST, strict=True)


def test_the_operators_secret(written: Written, labelled: Path) -> None:
    """The proxy reads the key of the Secret that the ScrapeConfigs refer to."""
    made = documents(written.kubernetes)
    configs = [each["spec"] for each in made if each["kind"] == "ScrapeConfig"]
    (secret,) = {
        tuple(each["oauth2"]["clientSecret"].items()) for each in configs if "oauth2" in each
    }
    for spec in sidecars(written, labelled):
        (proxy,) = spec["containers"]
        volume = next(each for each in spec["volumes"] if "secret" in each)
        mount = next(each for each in proxy["volumeMounts"] if each["name"] == volume["name"])
        assert dict(secret)["name"] == volume["secret"]["secretName"]
        assert f"{mount['mountPath']}/{dict(secret)['key']}" in proxy["command"]


def test_with_the_operator_no_namespace_is_made(written: Written, labelled: Path) -> None:
    """The namespace is the user's: no object of it, so nothing relabels or deletes it."""
    for bundle in (written.kubernetes, labelled):
        assert "Namespace" not in {each["kind"] for each in documents(bundle)}
        assert "namespace.yaml" not in (bundle / "kustomization.yaml").read_text()


def test_the_users_prometheus_is_left_alone(written: Written, labelled: Path) -> None:
    """There is a Prometheus object of our own, or with --operator-label none, and no patch; the
    label is then on every object that a Prometheus selects.
    """
    ours = [each for each in documents(written.kubernetes) if each["kind"] == "Prometheus"]
    assert [each["metadata"]["name"] for each in ours] == ["runscrape"]
    assert "Prometheus" not in {each["kind"] for each in documents(labelled)}
    assert not list(labelled.rglob("*patch*"))
    built = kustomize(labelled / "operator")
    selected = [each for each in built if each["kind"] in {"ScrapeConfig", "PrometheusRule"}]
    assert len(selected) == 5
    for each in selected:
        assert each["metadata"]["labels"]["release"] == "mine"


def kustomize(folder: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_the_namespace_enforces_it(plain: Path) -> None:
    """Without the operator the namespace is ours, and held to the restricted level too."""
    labels = yaml.safe_load((plain / "manifests/namespace.yaml").read_text())["metadata"]["labels"]
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


def test_alertmanagers_of_our_own_prometheus(google: Google, tmp_path: Path) -> None:
    """With the operator, too, --alertmanager is where that Prometheus looks for it."""
    arguments = ["--operator", "--alertmanager", "alerts.monitoring.svc:9093"]
    bundle = google.write(tmp_path / "b", "--platform", "kubernetes", *arguments)
    text = (bundle / "operator/prometheus.yaml").read_text()
    by_kind = {each["kind"]: each for each in yaml.safe_load_all(text)}
    named = by_kind["Prometheus"]["spec"]["additionalAlertManagerConfigs"]
    secret = by_kind["Secret"]
    assert secret["metadata"]["name"] == named["name"]
    (config,) = yaml.safe_load(secret["stringData"][named["key"]])
    assert config["static_configs"] == [{"targets": ["alerts.monitoring.svc:9093"]}]


@pytest.mark.parametrize("label", [(), ("--operator-label", "release=x")])
def test_every_pod_has_the_registrys_secret(
    google: Google, tmp_path: Path, label: tuple[str, ...]
) -> None:
    """Whichever pod runs our image can pull it: that of your own Prometheus gets the secret as it
    gets the container.
    """
    arguments = ["--operator", *label, "--image-pull-secret", "registry"]
    bundle = google.write(tmp_path / "b", "--platform", "kubernetes", *arguments)
    specs = [
        spec
        for path in (*bundle.glob("manifests/*.yaml"), *bundle.glob("operator/*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        for spec in pod_specs(document)
    ]
    assert len(specs) == 3
    assert [spec.get("imagePullSecrets") for spec in specs] == [[{"name": "registry"}]] * 3
    assert ("`spec.imagePullSecrets`" in (bundle / "README.md").read_text()) is bool(label)


def pod_specs(value: Any) -> Iterator[dict[str, Any]]:
    """Find what lists containers, however deep."""
    if isinstance(value, dict) and "containers" in value:
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from pod_specs(each)


def test_an_image_that_no_cluster_can_pull(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default image, which is on the machine that built it, is warned of; another is not."""
    google.write(tmp_path / "a", "--platform", "kubernetes")
    assert "name one in a registry" in capsys.readouterr().err
    image = ["--image", "registry.example/runscrape:1"]
    google.write(tmp_path / "b", "--platform", "kubernetes", *image)
    assert "name one in a registry" not in capsys.readouterr().err


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
