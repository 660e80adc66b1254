"""Which fonts pages are set in, and which scripts the fonts of this machine lack."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

# By script: families that have it, on Linux, macOS and Windows, the first that there is counts.
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
# Of program text; typst brings the last one itself.
MONOSPACE = ("Noto Sans Mono", "DejaVu Sans Mono")
# Debian's packages that have all of it.
PACKAGES = ("fonts-noto-core", "fonts-noto-cjk", "fonts-noto-color-emoji")


def used_families() -> tuple[str, ...]:
    """Return all families in the order in which a character is looked for."""
    return tuple(dict.fromkeys(name for names in FAMILIES.values() for name in names))


def missing_scripts(installed: Collection[str]) -> list[str]:
    """Return the scripts that no installed family has."""
    return [script for script, names in FAMILIES.items() if not set(names) & set(installed)]


def lacking(scripts: Collection[str]) -> str:
    """Return a sentence that says which scripts PDFs cannot show, and what to install."""
    packages = " ".join(PACKAGES)
    return f"No font for {', '.join(scripts)}: PDFs show boxes; apt install {packages}"
