#!/usr/bin/env python3
"""Import exported localStorage JSON: `--file my_conversations.json --username admin`.

The same as `chatvault import`, under the name that the migration guide uses.
"""

from _environment import enter

enter(__file__)

import sys  # noqa: E402  # chatvault can be imported only from here on

from chatvault.__main__ import main  # noqa: E402  # the same

# `--file X` is this script's way to say what `chatvault import` takes as its argument.
arguments = [part.removeprefix("--file=") for part in sys.argv[1:] if part != "--file"]
sys.argv = ["chatvault", "import", *arguments]
main()
