"""What an If-Match header asks for."""

from dataclasses import dataclass

from chatvault.errors import PreconditionRequired, StaleVersion


@dataclass(frozen=True, slots=True)
class Precondition:
    """What an If-Match header asks for.

    Attributes:
        given: whether there was one.
        versions: those that match; None matches any.
    """

    given: bool = False
    versions: frozenset[int] | None = None

    def check(self, version: int) -> None:
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
