"""chatvault: the system of record for AI conversations."""
