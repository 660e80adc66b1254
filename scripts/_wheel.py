"""Refuses to build a package without the web page: hatchling calls this for each wheel."""

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WithPage(BuildHookInterface[Any]):
    """Looks whether the page is there and made of these sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Look, unless the package is a checkout's own or is to have no page.

        Raises:
            SystemExit: there is no page, or it is older than its sources.
        """
        if version == "editable" or os.environ.get("CHATVAULT_UI") == "off":
            return
        sys.path.insert(0, str(Path(self.root) / "scripts"))
        import _ui  # noqa: PLC0415  # beside this file, and only here on the path

        if not _ui.is_current():
            raise SystemExit(
                "chatvault: the web page is missing or older than ui/; run scripts/ui build first, "
                "or set CHATVAULT_UI=off to build a package without it"
            )
