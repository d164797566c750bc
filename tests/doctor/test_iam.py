"""``runscrape iam``: the least that is needed, as commands and as Terraform."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.auth.compute_engine import _metadata

from runscrape_generator.iam.terraform import quoted
from tests.doctor.clinic import IDENTITY, NUMBER, Case, Clinic, clinic

SCRAPER = "scraper@demo.iam.gserviceaccount.com"
CLIENT = "123-abc.apps.googleusercontent.com"
SERVICES = {
    "api": Case(""),
    "inner": Case(
        "", was={"iap_enabled": True, "iap_clients": [CLIENT]}, rule={"audience": CLIENT}
    ),
    "public": Case("", was={"invoker_iam_disabled": True}),
    "skipped": Case("", was={"annotations": {"prometheus.io/scrape": "false"}}),
}
PLACE = "--project demo --region us-central1"
ROLE = "gcloud iam roles create runscrapeLister --project demo"
LISTER = (
    f"gcloud projects add-iam-policy-binding demo --member serviceAccount:{IDENTITY} "
    "--role projects/demo/roles/runscrapeLister --condition None"
)
INVOKER = (
    "gcloud run services add-iam-policy-binding {} "
    + PLACE
    + " --member {} --role roles/run.invoker"
)
IAP = (
    "gcloud iap web add-iam-policy-binding --project demo --resource-type cloud-run "
    "--service inner --region us-central1 --member {} --role roles/iap.httpsResourceAccessor"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with clinic(tmp_path_factory.mktemp("iam"), SERVICES) as running:
        yield running


@pytest.fixture(autouse=True)
def credentials(site: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the account whose key the emulator has."""
    for name, value in site.google.env("service_account").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", site.google.metadata_host)


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_commands(site: Clinic) -> None:
    """A role to list on the project, and to call on each service: both identities are asked for."""
    code, out, _ = site.run("iam")
    assert code == 0
    member = f"serviceAccount:{IDENTITY}"
    found = commands(out)
    assert found[0].startswith(ROLE)
    assert found[0].endswith("--permissions run.services.list --stage GA")
    assert found[1:] == [
        LISTER,
        INVOKER.format("api", member),
        INVOKER.format("inner", member),
        IAP.format(member),
        INVOKER.format(
            "inner", f"serviceAccount:service-{NUMBER}@gcp-sa-iap.iam.gserviceaccount.com"
        ),
    ]
    for line in found:
        assert shlex.join(shlex.split(line)) == line


def test_folders_and_organisations(site: Clinic) -> None:
    """Whoever searches folders or organisations for projects needs a role to search there."""
    words = ("iam", "--folder", "456", "--organization", "123", "--proxy-identity", SCRAPER)
    grant = f"--member serviceAccount:{IDENTITY} --role roles/cloudasset.viewer --condition None"
    found = [line for line in commands(site.run(*words)[1]) if "cloudasset" in line]
    assert found == [
        f"gcloud organizations add-iam-policy-binding 123 {grant}",
        f"gcloud resource-manager folders add-iam-policy-binding 456 {grant}",
    ]
    _, out, _ = site.run(*words, "--terraform")
    assert "org_id   = each.value" in out
    assert 'resource "google_folder_iam_member" "runscrape_search" {' in out
    assert 'for_each = toset(["456"])' in out
    assert "cloudasset" not in site.run("iam", "--proxy-identity", SCRAPER)[1]


def test_no_service_to_call(site: Clinic) -> None:
    """Where no service wants a token, nothing is said to be there already."""
    code, out, _ = site.run("iam", "--include", "nothing", "--proxy-identity", SCRAPER)
    assert code == 0
    assert "# no service was found that wants a token" in out
    assert SCRAPER not in out
    assert "is there already" not in out


def test_nothing_on_a_whole_project_but_to_list(site: Clinic) -> None:
    """No role that opens services is granted on a project."""
    for line in commands(site.run("iam")[1]):
        if "projects add-iam-policy-binding" in line:
            assert "--role projects/demo/roles/runscrapeLister" in line


@pytest.mark.parametrize(
    ("given", "member"),
    [
        (SCRAPER, f"serviceAccount:{SCRAPER}"),
        ("alice@example.com", "user:alice@example.com"),
        ("group:ops@example.com", "group:ops@example.com"),
        ("principal://iam.googleapis.com/p/1/s", "principal://iam.googleapis.com/p/1/s"),
    ],
)
def test_identities_that_are_given(site: Clinic, given: str, member: str) -> None:
    """An identity is an e-mail address or a member, and then nobody is asked."""
    names = ("--generator-identity", given, "--proxy-identity", given)
    _, out, _ = site.run("iam", *names, "--token-url", "http://127.0.0.1:1/token")
    assert INVOKER.format("api", member) in out


@pytest.mark.parametrize("option", ["--generator-identity", "--proxy-identity"])
@pytest.mark.parametrize("value", ["alice", "a b@example.com", "user:'; touch x'", "--role"])
def test_an_identity_that_is_none(site: Clinic, option: str, value: str) -> None:
    """What is neither is exit 2, with the option."""
    code, out, said = site.run("iam", f"{option}={value}")
    assert (code, out) == (2, "")
    assert option in said


def test_a_proxy_that_does_not_say(site: Clinic) -> None:
    """Where the proxy cannot be asked, the option is named."""
    code, _, said = site.run("iam", "--token-url", "http://127.0.0.1:1/token")
    assert code == 2
    assert "Connection refused" in said
    assert "--proxy-identity EMAIL" in said


def test_credentials_that_do_not_say(
    site: Clinic, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there are no credentials, the option is named."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", *site.google.env("metadata")):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    code, _, said = site.run("iam")
    assert code == 2
    assert "--generator-identity EMAIL" in said


def test_terraform_compares_by_itself(site: Clinic) -> None:
    """--diff beside --terraform is refused, not passed over."""
    code, out, said = site.run("iam", "--terraform", "--diff", "--proxy-identity", SCRAPER)
    assert (code, out) == (2, "")
    assert "--diff and --terraform exclude each other" in said


def test_terraform(site: Clinic, tmp_path: Path) -> None:
    """The same as Terraform, formatted as it formats, with each service by name."""
    _, out, _ = site.run("iam", "--terraform", "--proxy-identity", SCRAPER)
    assert '"demo/us-central1/api"' in out
    assert '"demo/us-central1/public"' not in out
    assert f'member   = "serviceAccount:{SCRAPER}"' in out
    assert out.count("roles/run.invoker") == 2  # the proxy's, and that of IAP's agent
    # A service whose project's number is not known has no agent that could be given a role.
    assert (
        'for id, one in local.runscrape_services_behind_iap : id => one if one.agent != ""' in out
    )
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    (tmp_path / "main.tf").write_text(out)
    check = ["terraform", f"-chdir={tmp_path}", "fmt", "-check", "-diff"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_text_is_no_template() -> None:
    """A string stays one in HCL, whatever is in it."""
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    assert quoted("${file(x)} %{if} $x") == '"$${file(x)} %%{if} $x"'


def test_what_is_there_already(site: Clinic) -> None:
    """--diff leaves out what the policies have, and names roles that open too much."""
    member = f"serviceAccount:{IDENTITY}"
    before = site.google.world.model_dump()
    try:
        project(site, before, roles=[], bindings={})
        _, out, _ = site.run("iam", "--diff")
        assert [line[:40] for line in commands(out)][:2] == [ROLE[:40], LISTER[:40]]
        assert INVOKER.format("api", member) not in out  # an invoker by default
        assert "# (is there already)" in out
        lister = {"projects/demo/roles/runscrapeLister": [IDENTITY]}
        wide = {"roles/run.invoker": [IDENTITY], "roles/viewer": [IDENTITY]}
        project(site, before, roles=["runscrapeLister"], bindings=lister | wide)
        _, out, _ = site.run("iam", "--diff")
        assert "runscrapeLister --project" not in out
        remove = f"gcloud projects remove-iam-policy-binding demo --member {member}"
        assert commands(out)[-1] == f"{remove} --role roles/run.invoker --condition None"
        assert "roles/viewer" not in out
    finally:
        site.google.update(before)


def test_policies_that_may_not_be_read(site: Clinic) -> None:
    """What may not be read counts as not there, and that is said."""
    before = site.google.world.model_dump()
    try:
        project(site, before, policy_viewers=["somebody@example.com"])
        code, out, said = site.run("iam", "--diff")
    finally:
        site.google.update(before)
    assert code == 0
    assert re.search(r"warning: project demo: its policy cannot be read: 403 ", said)
    assert INVOKER.format("api", f"serviceAccount:{IDENTITY}") in out


def project(site: Clinic, world: Mapping[str, Any], **changes: Any) -> None:
    """Change the project of the world."""
    demo = {**world["projects"]["demo"], **changes}
    site.google.update({**world, "projects": {**world["projects"], "demo": demo}})
