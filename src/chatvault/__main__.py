"""`python -m chatvault`."""

from chatvault.cli import main

main()
