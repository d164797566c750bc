"""``runscrape iam``: the least that the two identities need, as commands or as Terraform."""
