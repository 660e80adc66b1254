"""Groups of users with whom conversations can be shared at once."""
