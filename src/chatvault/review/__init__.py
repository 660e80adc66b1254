"""The audit log, shown to reviewers, and to users what is about themselves."""
