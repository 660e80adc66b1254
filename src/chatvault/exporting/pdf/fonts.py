"""The fonts of PDFs, and the scripts that no font of this machine has."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

# By script: families on Linux, macOS and Windows; the first that is installed is used.
FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Latin": ("Noto Sans", "DejaVu Sans", "Helvetica Neue", "Segoe UI", "Arial"),
        "Arabic": ("Noto Sans Arabic", "Geeza Pro", "Segoe UI", "DejaVu Sans"),
        "Hebrew": ("Noto Sans Hebrew", "Arial Hebrew", "Segoe UI", "DejaVu Sans"),
        "Devanagari": ("Noto Sans Devanagari", "Kohinoor Devanagari", "Nirmala UI"),
        "Thai": ("Noto Sans Thai", "Thonburi", "Leelawadee UI"),
        "Chinese, Japanese and Korean": (
            "Noto Sans CJK SC",
            "Noto Sans SC",
            "PingFang SC",
            "Microsoft YaHei",
            "Hiragino Sans",
            "Yu Gothic",
            "Malgun Gothic",
        ),
        "emoji": ("Noto Color Emoji", "Apple Color Emoji", "Segoe UI Emoji"),
    }
)
# For program text; typst has the last one built in.
MONOSPACE = ("Noto Sans Mono", "DejaVu Sans Mono")
# The packages of Debian with all of them.
PACKAGES = ("fonts-noto-core", "fonts-noto-cjk", "fonts-noto-color-emoji")


def used_families() -> tuple[str, ...]:
    """Return all families in the order in which they are searched for a character."""
    return tuple(dict.fromkeys(name for names in FAMILIES.values() for name in names))


def missing_scripts(installed: Collection[str]) -> list[str]:
    """Return the scripts that no installed family has."""
    return [script for script, names in FAMILIES.items() if not set(names) & set(installed)]


def lacking(scripts: Collection[str]) -> str:
    """Return a message with the scripts that PDFs cannot show, and the packages to install."""
    packages = " ".join(PACKAGES)
    return f"No font for {', '.join(scripts)}: PDFs show boxes; apt install {packages}"
