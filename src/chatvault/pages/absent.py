"""What is shown where the page is not built yet, or cannot be."""

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
    """Return a page that says why there is no other; while one is built it comes again by itself.

    Args:
        is_building: whether there will be one soon.
        reason: why there is none, where that is known.
    """
    title, text = BUILDING if is_building else MISSING
    return TEMPLATE.format(
        refresh=REFRESH if is_building else "",
        title=title,
        text=html.escape(text),
        reason=f"<pre>{html.escape(reason)}</pre>" if reason else "",
        state="building" if is_building else "missing",
    )
