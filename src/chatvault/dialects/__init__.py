"""The other names under which clients know conversations, messages and replies."""
