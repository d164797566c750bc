# What runscrape needs of Google: a service account that may list Cloud Run services and call them, and
# for Kubernetes the binding that lets the pod be that account.

variable "projects" {
  description = "The projects whose services are scraped; the account is made in the first."
  type        = list(string)
}

variable "kubernetes" {
  description = "The cluster's project, and namespace and name of the pod's service account; null elsewhere."
  type = object({
    project         = string
    namespace       = optional(string, "runscrape")
    service_account = optional(string, "runscrape")
  })
  default = null
}

resource "google_service_account" "runscrape" {
  project      = var.projects[0]
  account_id   = "runscrape"
  display_name = "Prometheus' scrapes of Cloud Run services"
}

resource "google_project_iam_member" "viewer" {
  for_each = toset(var.projects)
  project  = each.value
  role     = "roles/run.viewer"
  member   = google_service_account.runscrape.member
}

# On the project: services that come later are scraped too. To name each service instead, use
# google_cloud_run_v2_service_iam_member.
resource "google_project_iam_member" "invoker" {
  for_each = toset(var.projects)
  project  = each.value
  role     = "roles/run.invoker"
  member   = google_service_account.runscrape.member
}

resource "google_service_account_iam_member" "workload_identity" {
  count              = var.kubernetes == null ? 0 : 1
  service_account_id = google_service_account.runscrape.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.kubernetes.project}.svc.id.goog[${var.kubernetes.namespace}/${var.kubernetes.service_account}]"
}

output "email" {
  description = "For runscrape bootstrap --google-service-account."
  value       = google_service_account.runscrape.email
}
