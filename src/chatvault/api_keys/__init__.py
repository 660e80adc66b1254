"""API keys: how programs act for a user, within the scopes that the user gave."""
