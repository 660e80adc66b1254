"""Reading files as they come: archives, text, JSON and HTML."""
