"""Signing in with an account of another service, by OpenID Connect."""
