"""Errors of groups."""

from chatvault.errors import Conflict, Denied, NotFound


class GroupNotFound(NotFound):
    """Group not found."""

    code = "group_not_found"


class NotManager(Denied):
    """Only the group's managers and its owner may do this, or its owner alone."""

    code = "not_manager"


class TooManyGroups(Conflict):
    """You own 100 groups; remove one of them first."""

    code = "too_many_groups"


class TooManyMembers(Conflict):
    """The group has 200 members; remove one of them first."""

    code = "too_many_members"


class ClaimsOff(Conflict):
    """Nobody signs in with OpenID Connect here, so nobody joins a group by a claim."""

    code = "claims_off"


class ClaimInUse(Conflict):
    """Another group has this value of the claim."""

    code = "claim_in_use"


class TooManyGroupGrants(Conflict):
    """The conversation is shared with 20 groups, or 1,000 conversations are with this group."""

    code = "too_many_group_grants"
