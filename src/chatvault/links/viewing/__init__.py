"""What whoever has a link may do: read its snapshot, and copy it."""
