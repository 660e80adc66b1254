"""HTTP plumbing: routes, requests, problems, the description of the API."""
