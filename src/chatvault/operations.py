"""Every operation of the API, by domain."""

from chatvault.accounts import routes as accounts
from chatvault.administration import routes as administration
from chatvault.administration import user_routes
from chatvault.agents import routes as agents
from chatvault.api_keys import routes as api_keys
from chatvault.attachments import routes as attachments
from chatvault.batches import routes as batches
from chatvault.categories import routes as categories
from chatvault.commands import routes as commands
from chatvault.completions import routes as completions
from chatvault.conversations import routes as conversations
from chatvault.conversations.branches import routes as branches
from chatvault.conversations.lists import routes as lists
from chatvault.conversations.messages import routes as messages
from chatvault.conversations.trash import routes as trash
from chatvault.dialects import routes as dialects
from chatvault.erasure import routes as erasure
from chatvault.exporting import routes as exports
from chatvault.exporting.jobs import routes as export_jobs
from chatvault.forking import routes as forks
from chatvault.groups import routes as groups
from chatvault.holds import routes as holds
from chatvault.http import health, openapi
from chatvault.importing import routes as imports
from chatvault.importing.jobs import routes as import_jobs
from chatvault.importing.uploads import routes as uploads
from chatvault.links import routes as links
from chatvault.live import routes as live
from chatvault.notes import routes as notes
from chatvault.oidc import routes as oidc
from chatvault.pages import routes as pages
from chatvault.people import routes as people
from chatvault.preferences import routes as preferences
from chatvault.quotas import routes as quotas
from chatvault.replies import routes as replies
from chatvault.retention import routes as retention
from chatvault.review import routes as review
from chatvault.sealing import routes as sealing
from chatvault.search import routes as search
from chatvault.sessions import routes as sessions
from chatvault.sharing import routes as sharing
from chatvault.tags import routes as tags
from chatvault.templates import routes as templates
from chatvault.usage import routes as usage

OWN_ROUTES = (
    health.routes,
    accounts.routes,
    sessions.routes,
    api_keys.routes,
    agents.routes,
    usage.routes,
    erasure.routes,
    lists.routes,
    trash.routes,
    conversations.routes,
    messages.routes,
    attachments.routes,
    branches.routes,
    dialects.routes,
    forks.routes,
    links.routes,
    tags.routes,
    categories.routes,
    batches.routes,
    templates.routes,
    search.routes,
    uploads.routes,
    imports.routes,
    import_jobs.routes,
    exports.routes,
    export_jobs.routes,
    preferences.routes,
    retention.routes,
    review.routes,
    holds.routes,
    sharing.routes,
    people.routes,
    groups.routes,
    notes.routes,
    administration.routes,
    user_routes.routes,
    quotas.routes,
    sealing.routes,
    oidc.routes,
    replies.routes,
    live.routes,
    completions.routes,
    commands.routes,
    pages.routes,
    openapi.routes,
)
ROUTES = dialects.with_dialects(OWN_ROUTES)
