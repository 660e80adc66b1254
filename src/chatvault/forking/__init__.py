"""Forks: conversations that begin as a copy of a branch of another one."""
