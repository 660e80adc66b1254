"""Public links: snapshots of conversations for whoever has the link."""
