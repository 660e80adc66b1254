"""Content security policies for pages with inline scripts and styles."""

import base64
import hashlib
from html.parser import HTMLParser

# The style of the logo that Swagger UI draws by script.
SWAGGER_LOGO = "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='"


class _Inline(HTMLParser):
    """Collects the text in script and style tags, as a browser hashes it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: dict[str, list[str]] = {"script": [], "style": []}
        self._open: str | None = None

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.found:
            self._open = tag
            self.found[tag].append("")

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.found[self._open][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = None


def content_security_policy(page: str) -> str:
    """Return the policy that allows a page its inline scripts and styles, and calls to us."""
    inline = _Inline()
    inline.feed(page)
    inline.close()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hashes(inline.found['script'])}",
            f"style-src {_hashes(inline.found['style'])} {SWAGGER_LOGO}",
            "img-src 'self' data:",
            "font-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hashes(texts: list[str]) -> str:
    # A browser turns line ends into   before it hashes.
    unified = (text.replace("\r\n", "\n").replace("\r", "\n") for text in texts)
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in unified)
    return " ".join(f"'sha256-{each.decode()}'" for each in hashes) or "'none'"
