"""Why Google does not let a scrape through, or no instance answers it."""

from __future__ import annotations

from runscrape_generator.doctor.catalogue.commands import (
    BIND,
    DESCRIBE,
    GENERATE,
    LOGS,
    SERVICE,
    START,
    UPDATE,
)
from runscrape_generator.doctor.causes import Cause

_TROUBLE = "cloud.google.com/run/docs/troubleshooting"
_ISSUES = "cloud.google.com/run/docs/known-issues"
_AUDIENCES = "cloud.google.com/run/docs/configuring/custom-audiences"
_INGRESS = "cloud.google.com/run/docs/securing/ingress"
_IAP = "cloud.google.com/run/docs/securing/identity-aware-proxy-cloud-run"

CAUSES = (
    Cause(
        name="no-address",
        title="the host name has no address here (DNS)",
        remedy="check the target's name and this machine's resolver; behind a corporate proxy, set "
        "the job's proxy_url",
        source="RFC 1035",
    ),
    Cause(
        name="no-connection",
        title="no connection to the service",
        remedy="check the network and its firewall; behind a corporate proxy, set the job's "
        "proxy_url by a rule's scrape_config",
        source=_TROUBLE,
    ),
    Cause(
        name="tls-untrusted",
        title="the certificate is signed by an authority that is not trusted here",
        remedy="if a proxy opens TLS on the way, set the job's tls_config.ca_file to its CA by a "
        "rule's scrape_config",
        source="RFC 5280, section 6",
    ),
    Cause(
        name="tls-wrong-name",
        title="the certificate is for another name",
        remedy="let the rule's target be a name that the service has: its own URL or a mapped "
        "domain",
        source="RFC 9525",
    ),
    Cause(
        name="tls-failed",
        title="TLS to the service fails",
        remedy="check what answers at that address and port, and the job's tls_config",
        source="RFC 8446",
    ),
    Cause(
        name="http-proxy-refused",
        title="the HTTP proxy on the way does not let the scrape through",
        remedy="let it pass CONNECT to {host}:443, or correct the job's proxy_url (user, password)",
        source="RFC 9110, section 9.3.6",
    ),
    Cause(
        name="gateway-off",
        title="the proxy is asked to scrape, and was started without --gateway",
        remedy="start runscrape-proxy with --gateway",
        commands=(START,),
        source="proxy/README.md",
    ),
    Cause(
        name="gateway-wants-http",
        title="the gateway is asked for a tunnel, because the target's scheme is https",
        remedy="write the targets with runscrape targets --mode gateway",
        source="proxy/README.md",
    ),
    Cause(
        name="gateway-busy",
        title="the gateway has too many scrapes under way",
        remedy="raise --gateway-concurrency or --gateway-per-host, or find what is slow",
        source="proxy/README.md",
    ),
    Cause(
        name="reserved-path",
        title="Google keeps this path for itself: the service never sees the request",
        remedy="serve the metrics under another path than {path}",
        source=_ISSUES,
    ),
    Cause(
        name="service-gone",
        title="the service no longer exists",
        remedy="run runscrape again, so that its job goes",
        commands=(GENERATE,),
        source=_TROUBLE,
    ),
    Cause(
        name="address-differs",
        title="the target is no address of the service (any more)",
        remedy="run runscrape again: the service answers at {uri}",
        commands=(GENERATE,),
        source=_TROUBLE,
    ),
    Cause(
        name="default-url-disabled",
        title="the service's default URL is disabled",
        remedy="give the service a target by rule (its own domain), or enable the URL",
        commands=((*UPDATE, "--default-url"),),
        source="cloud.google.com/run/docs/securing/ingress#disable-url",
    ),
    Cause(
        name="ingress",
        title="the service's ingress lets nobody in from here",
        remedy="scrape it from inside the VPC, or by its load balancer's domain (a rule's target), "
        "or open its ingress",
        commands=((*UPDATE, "--ingress", "all"),),
        source=_INGRESS,
    ),
    Cause(
        name="not-served",
        title="Cloud Run serves nothing at this address: no such service, its ingress is internal, "
        "or its default URL is disabled",
        remedy="look at the service's ingress and URLs; doctor can tell more if it "
        "may list services (run.services.list)",
        commands=(DESCRIBE,),
        source=_TROUBLE,
    ),
    Cause(
        name="service-controls",
        title="VPC Service Controls keep the request out",
        remedy="run Prometheus inside the perimeter, or let {identity} in by an ingress rule",
        commands=(
            (
                *("gcloud", "logging", "read", "--project", "{project}", "--limit", "5"),
                "protoPayload.methodName=run.googleapis.com/HttpIngress",
            ),
        ),
        source="cloud.google.com/run/docs/securing/using-vpc-service-controls",
    ),
    Cause(
        name="iap",
        title="Identity-Aware Proxy stands before the service, and wants another audience",
        remedy="give the service an audience by rule: the OAuth client id of IAP",
        source=_IAP,
    ),
    Cause(
        name="iap-no-access",
        title="the identity may not pass Identity-Aware Proxy",
        remedy="grant roles/iap.httpsResourceAccessor to {member}",
        commands=(
            (
                *("gcloud", "iap", "web", "add-iam-policy-binding", "--project", "{project}"),
                *("--resource-type", "cloud-run", "--service", "{service}"),
                *("--region", "{region}", "--member", "{member}"),
                *("--role", "roles/iap.httpsResourceAccessor"),
            ),
        ),
        source=_IAP,
    ),
    Cause(
        name="iap-agent",
        title="Identity-Aware Proxy itself may not call the service",
        remedy="grant roles/run.invoker to IAP's service agent",
        commands=(
            (
                *(*BIND, "--role", "roles/run.invoker", "--member"),
                "serviceAccount:service-{number}@gcp-sa-iap.iam.gserviceaccount.com",
            ),
        ),
        source=_IAP,
    ),
    Cause(
        name="audience-is-tag",
        title="the token's audience is the URL of a tag, which Cloud Run does not take",
        remedy="ask for the service's own URL ({uri}); the tag's URL may stay the target",
        commands=(GENERATE,),
        source=_AUDIENCES,
    ),
    Cause(
        name="audience-differs",
        title="401: the token's audience is none that the service takes",
        remedy="run runscrape again, or add the audience to the service's custom audiences",
        commands=(GENERATE, (*UPDATE, "--add-custom-audiences", "{audience}")),
        source=_AUDIENCES,
    ),
    Cause(
        name="token-refused",
        title="401: Cloud Run does not take the token, though nothing is wrong with it from here",
        remedy="check whether the account was deleted or disabled, and the proxy's clock; what the "
        "service takes may have changed minutes ago",
        commands=(DESCRIBE,),
        source=_TROUBLE,
    ),
    Cause(
        name="not-public",
        title="the job sends no token, and the service is not public (any more)",
        remedy="run runscrape again, so that the job sends a token",
        commands=(GENERATE,),
        source=_TROUBLE,
    ),
    Cause(
        name="no-invoker",
        title="403: the proxy's identity may not call the service",
        remedy="grant roles/run.invoker on the service to {member}; a grant takes minutes to work",
        commands=((*BIND, "--member", "{member}", "--role", "roles/run.invoker"),),
        source=_TROUBLE,
    ),
    Cause(
        name="grant-not-in-force",
        title="403, though the service's policy has the identity as an invoker",
        remedy="wait: a new grant takes 2 to 7 minutes; if it stays so, a condition, an IAM deny "
        "policy or VPC Service Controls keep it out",
        commands=(("gcloud", "run", "services", "get-iam-policy", *SERVICE),),
        source="cloud.google.com/iam/docs/access-change-propagation",
    ),
    Cause(
        name="scaled-to-none",
        title="the service is scaled by hand, to 0 instances",
        remedy="give it an instance, or leave it out (a rule's skip)",
        commands=((*UPDATE, "--scaling", "1"),),
        source="cloud.google.com/run/docs/configuring/services/manual-scaling",
    ),
    Cause(
        name="not-ready",
        title="no revision of the service is ready",
        remedy="mend what its condition says, and deploy again",
        commands=(DESCRIBE,),
        source=_TROUBLE,
    ),
    Cause(
        name="max-instances",
        title="429: every instance is busy, and the service may have no more of them",
        remedy="raise its maximum of instances, or its concurrency",
        commands=((*UPDATE, "--max-instances", "{more_instances}"),),
        source=_TROUBLE,
    ),
    Cause(
        name="start-failed",
        title="500: Cloud Run could not start an instance, or not in time",
        remedy="look at the service's logs for why its container does not start",
        commands=(LOGS,),
        source=_TROUBLE,
    ),
    Cause(
        name="no-instance",
        title="503: Cloud Run has no instance of the service, though it calls it ready",
        remedy="check that billing is on for the project; then look at the service's logs",
        commands=(("gcloud", "billing", "projects", "describe", "{project}"), LOGS),
        source=_TROUBLE,
    ),
    Cause(
        name="crashed",
        title="503: the instance broke the connection, or answered no HTTP",
        remedy="look at the service's logs for a crash, and at its memory limit",
        commands=(LOGS,),
        source=_TROUBLE,
    ),
    Cause(
        name="request-timeout",
        title="504: the service did not answer within Cloud Run's own request timeout",
        remedy="find out why it takes so long; a longer scrape timeout does not help",
        commands=(LOGS,),
        source=_TROUBLE,
    ),
    Cause(
        name="load-balancer",
        title="the load balancer before the service reaches no backend",
        remedy="check its backend service and serverless network endpoint group",
        commands=(("gcloud", "compute", "backend-services", "list", "--project", "{project}"),),
        source="cloud.google.com/load-balancing/docs/https/setting-up-https-serverless",
    ),
)
