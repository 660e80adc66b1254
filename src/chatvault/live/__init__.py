"""Live events: what happened to a user's data, told to all of the connected clients."""
