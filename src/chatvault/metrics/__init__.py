"""Metrics of a process in Prometheus' form: the instruments, and their text."""
