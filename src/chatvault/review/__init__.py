"""The audit log, shown to those who review it, and to users what is about themselves."""
