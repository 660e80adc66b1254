"""The audit log: operations that succeeded, were refused or failed, kept permanently."""
