"""The commands; each calls services."""
