"""Google's side: credentials found, ID tokens minted, remedies for what fails."""
