"""What an If-Match header asks for."""

from dataclasses import dataclass

from chatvault.conversations.shapes import StoredMessage
from chatvault.errors import PreconditionRequired, StaleVersion

# A conversation's version; or a message's place and its version there, as both begin anew where
# other messages take the place of all.
Version = int | tuple[int, int]


def version_of(stored: StoredMessage) -> tuple[int, int]:
    """Return a message's place and its version there; no other words are ever stored under both."""
    return stored.seq, stored.message.get("version", 1)


@dataclass(frozen=True, slots=True)
class Precondition:
    """What an If-Match header asks for.

    Attributes:
        given: whether there was one.
        versions: those that match; None matches any.
    """

    given: bool = False
    versions: frozenset[Version] | None = None

    def check(self, version: Version) -> None:
        """Let only a matching version pass.

        Raises:
            StaleVersion: it is another one.
        """
        if self.versions is not None and version not in self.versions:
            raise StaleVersion

    def require(self) -> None:
        """Let only those pass who said what they have seen.

        Raises:
            PreconditionRequired: there was no If-Match.
        """
        if not self.given:
            raise PreconditionRequired
