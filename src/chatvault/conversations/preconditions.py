"""If-Match preconditions."""

from dataclasses import dataclass

from chatvault.conversations.shapes import StoredMessage
from chatvault.errors import PreconditionRequired, StaleVersion

# A conversation's version; or a message's place and version, as both start again when
# all messages are replaced.
Version = int | tuple[int, int]


def version_of(stored: StoredMessage) -> tuple[int, int]:
    """Return a message's place and version, which together identify its content."""
    return stored.seq, stored.message.get("version", 1)


@dataclass(frozen=True, slots=True)
class Precondition:
    """The condition of an If-Match header.

    Attributes:
        given: whether there is a header.
        versions: the versions that match; None matches any.
    """

    given: bool = False
    versions: frozenset[Version] | None = None

    def check(self, version: Version) -> None:
        """Raise unless the version matches.

        Raises:
            StaleVersion: it is another one.
        """
        if self.versions is not None and version not in self.versions:
            raise StaleVersion

    def require(self) -> None:
        """Raise if there is no header.

        Raises:
            PreconditionRequired: there was no If-Match.
        """
        if not self.given:
            raise PreconditionRequired
