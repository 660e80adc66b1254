"""`python -m chatvault`."""

from chatvault.cli import main

if __name__ == "__main__":
    main()
