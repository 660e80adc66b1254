"""Loading the identity provider, whose libraries take a quarter of a second to import."""

from typing import TYPE_CHECKING

from chatvault.external import Oidc

if TYPE_CHECKING:
    from chatvault.oidc.provider import IdentityProvider


def load_provider(config: Oidc | None) -> "IdentityProvider | None":
    """Return the provider that the settings name, if they name one."""
    if config is None:
        return None
    from chatvault.oidc.provider import IdentityProvider  # noqa: PLC0415  # see above

    return IdentityProvider(config)
