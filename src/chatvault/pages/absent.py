"""The page that is shown while the web page is not built, or if it cannot be."""

import html
from pathlib import Path

TEMPLATE = (Path(__file__).parent / "absent.html").read_text()
BUILDING = (
    "The page is being built",
    "This takes about a minute the first time. It opens here by itself.",
)
MISSING = (
    "There is no page in this installation",
    (
        "The API works without it. A released package and the container image bring the page; "
        "in a checkout, scripts/serve or scripts/ui build makes it. "
        "CHATVAULT_UI=off leaves it out for good."
    ),
)
REFRESH = '<meta http-equiv="refresh" content="3">'


def absent_page(*, is_building: bool, reason: str) -> str:
    """Return a page that says why the web page is missing; during a build it reloads itself.

    Args:
        is_building: whether the web page is being built.
        reason: why it is missing, if that is known.
    """
    title, text = BUILDING if is_building else MISSING
    return TEMPLATE.format(
        refresh=REFRESH if is_building else "",
        title=title,
        text=html.escape(text),
        reason=f"<pre>{html.escape(reason)}</pre>" if reason else "",
        state="building" if is_building else "missing",
    )
