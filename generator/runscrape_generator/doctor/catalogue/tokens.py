"""Why there is no token that works: the proxy, its credentials, the token itself."""

from __future__ import annotations

from runscrape_generator.doctor.catalogue.commands import (
    BIND_ACCOUNT,
    CLOCK,
    GENERATE,
    LOGIN,
    START,
)
from runscrape_generator.doctor.causes import Cause

_PROXY = "proxy/README.md"
_RFC = "RFC 6749, section 5.2"
_OAUTH2 = "golang.org/x/oauth2, as Prometheus uses it"
_ADC = "cloud.google.com/docs/authentication/application-default-credentials"
_IMPERSONATE = "cloud.google.com/iam/docs/service-account-permissions"
_GKE = "cloud.google.com/kubernetes-engine/docs/how-to/workload-identity"
_JWT = "cloud.google.com/run/docs/authenticating/service-to-service"


CAUSES = (
    Cause(
        name="secret-unreadable",
        title="the file with the client secret cannot be read here",
        remedy="name the file as it is on this machine with --client-secret-file, or run doctor as "
        "a user who may read it",
        source=_PROXY,
    ),
    Cause(
        name="proxy-not-running",
        title="nothing listens where the proxy should be",
        remedy="start runscrape-proxy: if it cannot start, it says why",
        commands=(START,),
        source=_PROXY,
    ),
    Cause(
        name="proxy-unreachable",
        title="the proxy cannot be reached",
        remedy="check --token-url ({token_url}), and the network between Prometheus and the proxy",
        source=_PROXY,
    ),
    Cause(
        name="proxy-tls",
        title="TLS to the proxy fails",
        remedy="set tls_config.ca_file of the job's oauth2 block to the CA of the proxy's "
        "certificate",
        source=_PROXY,
    ),
    Cause(
        name="not-the-proxy",
        title="what answers at the token URL is no token endpoint",
        remedy="correct --token-url ({token_url}): runscrape-proxy answers at /token",
        commands=(START,),
        source=_RFC,
    ),
    Cause(
        name="token-answer-unusable",
        title="Prometheus cannot use what the token endpoint answers",
        remedy="let runscrape-proxy answer there, or make that server answer application/json with "
        "access_token and a whole number as expires_in",
        source=_OAUTH2,
    ),
    Cause(
        name="wrong-secret",
        title="the proxy refuses the client id or the client secret",
        remedy="give Prometheus and the proxy the same client id and the same client secret",
        commands=(START,),
        source=_RFC,
    ),
    Cause(
        name="not-in-proxy-inventory",
        title="the proxy refuses the service: it is not in the inventory that the proxy reads",
        remedy="let the proxy read the inventory that runscrape writes, or allow the audience with "
        "--allow-audience",
        commands=(START,),
        source="RFC 8707, section 2",
    ),
    Cause(
        name="not-in-inventory",
        title="the proxy refuses the service: it is in no inventory, nor in the one used here",
        remedy="run runscrape again, so that the inventory has the service",
        commands=(GENERATE,),
        source="RFC 8707, section 2",
    ),
    Cause(
        name="proxy-host-unknown",
        title="the proxy does not know the name by which it is called",
        remedy="start runscrape-proxy with --allowed-host {proxy_host}",
        commands=((*START, "--allowed-host", "{proxy_host}"),),
        source=_PROXY,
    ),
    Cause(
        name="proxy-forwarded",
        title="the proxy refuses requests that were forwarded, or come from a web page",
        remedy="let Prometheus reach the proxy directly, without another proxy or an ingress",
        source=_PROXY,
    ),
    Cause(
        name="token-request-invalid",
        title="the proxy cannot make sense of the token request",
        remedy="let runscrape write the job, or correct its oauth2 block by hand: token_url and "
        "endpoint_params with one audience",
        commands=(GENERATE,),
        source=_RFC,
    ),
    Cause(
        name="no-credentials",
        title="there are no Google credentials to mint with",
        remedy="log in, or attach a service account to the machine, or name a file in "
        "GOOGLE_APPLICATION_CREDENTIALS; then restart the proxy",
        commands=(LOGIN,),
        source=_ADC,
    ),
    Cause(
        name="cannot-mint",
        title="credentials of this kind cannot mint an ID token",
        remedy="let them impersonate a service account: --impersonate-service-account",
        source="google-auth, google.oauth2.id_token",
    ),
    Cause(
        name="login-expired",
        title="the login has expired or was revoked",
        remedy="log in again; the proxy reads the new file by itself",
        commands=(LOGIN,),
        source=_ADC,
    ),
    Cause(
        name="key-refused",
        title="Google does not take the service account's key: deleted, disabled or replaced",
        remedy="make a new key, and put it where the old one is",
        commands=(
            ("gcloud", "iam", "service-accounts", "keys", "list", "--iam-account", "{account}"),
        ),
        source="cloud.google.com/iam/docs/keys-create-delete",
    ),
    Cause(
        name="account-gone",
        title="the service account does not exist, or is disabled",
        remedy="check its name; enable or create it",
        commands=(("gcloud", "iam", "service-accounts", "enable", "{account}"),),
        source="cloud.google.com/iam/docs/service-accounts-disable-enable",
    ),
    Cause(
        name="no-impersonation-role",
        title="the credentials may not mint ID tokens as the service account",
        remedy="check the account's name, and grant roles/iam.serviceAccountOpenIdTokenCreator on "
        "it to {caller}; a grant takes minutes to work",
        commands=(
            (
                *BIND_ACCOUNT,
                *("--member", "{caller}", "--role", "roles/iam.serviceAccountOpenIdTokenCreator"),
            ),
        ),
        source=_IMPERSONATE,
    ),
    Cause(
        name="credentials-api-off",
        title="the IAM Service Account Credentials API is not enabled",
        remedy="enable it in the project of the credentials; it takes some minutes",
        commands=(
            (
                *("gcloud", "services", "enable", "iamcredentials.googleapis.com"),
                *("--project", "{account_project}"),
            ),
        ),
        source="cloud.google.com/iam/docs/reference/credentials/rest",
    ),
    Cause(
        name="pod-not-annotated",
        title="the pod's Kubernetes service account names no Google service account",
        remedy="annotate it with the account that scrapes, or start the proxy with "
        "--impersonate-service-account",
        commands=(
            (
                *("kubectl", "annotate", "serviceaccount", "{ksa}", "--namespace", "{namespace}"),
                "iam.gke.io/gcp-service-account={account}",
            ),
        ),
        source=_GKE,
    ),
    Cause(
        name="pod-not-bound",
        title="the pod's Kubernetes service account may not act as the Google service account",
        remedy="grant roles/iam.workloadIdentityUser on the account to the pod's",
        commands=(
            (
                *BIND_ACCOUNT,
                *("--role", "roles/iam.workloadIdentityUser", "--member", "{pod}"),
            ),
        ),
        source=_GKE,
    ),
    Cause(
        name="clock-wrong",
        title="this machine's clock is so wrong that Google refuses what it signs",
        remedy="set the clock, and keep it set (chrony, NTP)",
        commands=(CLOCK,),
        source="developers.google.com/identity/protocols/oauth2/service-account",
    ),
    Cause(
        name="google-unreachable",
        title="Google's token issuers cannot be reached from the proxy",
        remedy="check the network, HTTPS_PROXY and NO_PROXY of the proxy; --ca-file if TLS is "
        "opened on the way",
        source=_PROXY,
    ),
    Cause(
        name="no-token",
        title="Google gives the proxy no token now",
        remedy="do what the message says; the proxy's page shows more",
        source=_PROXY,
    ),
    Cause(
        name="not-an-id-token",
        title="the token is no ID token (an access token, say), and Cloud Run takes ID tokens only",
        remedy="let runscrape-proxy answer at the token URL",
        commands=(START,),
        source=_JWT,
    ),
    Cause(
        name="token-not-from-google",
        title="the token was not issued by Google",
        remedy="let runscrape-proxy answer at the token URL",
        commands=(START,),
        source=_JWT,
    ),
    Cause(
        name="token-for-another",
        title="the token is made for another audience than the one asked for",
        remedy="restart the proxy; a token endpoint that ignores the audience cannot be used",
        source=_JWT,
    ),
    Cause(
        name="token-expired",
        title="the token has expired",
        remedy="restart the proxy, and set the clock of its machine (chrony, NTP)",
        source=_JWT,
    ),
)
