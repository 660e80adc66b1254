"""The audit log: what was done, refused and failed, kept permanently."""
