"""The errors of links."""

from chatvault.errors import Conflict, Denied, NotFound


class LinksOff(Denied):
    """Public links are switched off here."""

    code = "links_off"


class LinkNotFound(NotFound):
    """Link not found."""


class TooManyLinks(Conflict):
    """You have as many public links as there may be; revoke one first."""

    code = "too_many_links"


class LinkSignInRequired(Denied):
    """This link follows a conversation; sign in to open it."""

    code = "link_sign_in_required"


class LinkPasswordRequired(Denied):
    """This link has a password; send it as Link-Password."""

    code = "link_password_required"


class WrongLinkPassword(Denied):
    """This is not the link's password."""

    code = "wrong_link_password"
