"""HTTP routes of the web page, and the settings it needs before anybody is signed in."""

from aiohttp import hdrs, web
from pydantic import BaseModel

from chatvault.http.csp import content_security_policy
from chatvault.http.openapi import get_root
from chatvault.http.requests import SETTINGS, json_response
from chatvault.http.routing import Routes, quiet
from chatvault.pages.absent import absent_page
from chatvault.pages.bundle import BUILT, BuiltPage, File
from chatvault.search.index import is_installed
from chatvault.settings import Switch
from chatvault.version import VERSION

# The first segments of the page's own addresses. API paths also start at the root: a test compares.
ADDRESSES = (
    *("/", "/login", "/register", "/c/{rest:.*}", "/library", "/assistants", "/review", "/move"),
    *("/review/{rest:.*}", "/settings", "/settings/{rest:.*}", "/erased", "/find"),
    *("/library/shared", "/s/{token}", "/reset/{token}"),
)
# Files next to the page; all others are under /_app/.
ROOT_FILES = ("favicon.svg", "theme.js", "LICENSES.txt")
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
REFRESH_SECONDS = 3
PAGE_HEADERS = {
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGE = web.AppKey("page", BuiltPage)
routes = Routes("page")


class UiConfig(BaseModel):
    """The settings that the page needs before sign-in.

    Attributes:
        registration_open: anyone may make an account.
        passwords: people sign in with passwords.
        identity_provider: what the provider of single sign-on is called; null without one.
        model_configured: there is a model that answers.
        max_reply_content: characters of a message that asks for a reply.
        attachment_megabytes: MB that a file beside a conversation may have.
        links: public links to conversations can be made.
        search_indexed: there is the library that indexes words, so that all messages can be found.
    """

    version: str
    registration_open: bool
    passwords: bool
    identity_provider: str | None
    model_configured: bool
    max_reply_content: int
    attachment_megabytes: int
    search_indexed: bool
    links: bool


@routes.route("GET", "/ui/config", None, returns=UiConfig)
async def get_ui_config(request: web.Request) -> web.StreamResponse:
    """Say what the page has to know before anybody is signed in.

    Whether registration is open, whether a model is configured, and the version.
    """
    settings = request.app[SETTINGS]
    found = UiConfig(
        version=VERSION,
        registration_open=settings.is_registration_open,
        passwords=settings.passwords is Switch.ON,
        identity_provider=None if settings.oidc is None else settings.oidc.name,
        model_configured=bool(settings.providers),
        max_reply_content=settings.max_reply_content,
        attachment_megabytes=settings.attachment_megabytes,
        search_indexed=is_installed(),
        links=settings.links is Switch.ON,
    )
    return json_response(found)


def add_page(app: web.Application) -> None:
    """Add the routes of the page at its own addresses.

    It is called before the API's routes are added, as both answer at `/`.
    """
    app[PAGE] = BuiltPage(BUILT)
    for address in ADDRESSES:
        app.router.add_get(address, get_start if address == "/" else get_page)
    for name in ROOT_FILES:
        app.router.add_get(f"/{name}", get_file)
    app.router.add_get("/_app/{rest:.*}", get_file)


@quiet
async def get_start(request: web.Request) -> web.StreamResponse:
    """Answer with the page to browsers, and with the API's description to programs."""
    if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        return await get_page(request)
    return await get_root(request)


@quiet
async def get_page(request: web.Request) -> web.StreamResponse:
    """Answer with the page, whatever the rest of the address; the page itself reads that."""
    built = request.app[PAGE]
    bundle = await built.bundle()
    if bundle is None:
        return _answer_absent(request, built)
    policy = f"{bundle.policy}; frame-ancestors 'none'"
    return _answer(request, bundle.page, PAGE_HEADERS | {"Content-Security-Policy": policy})


@quiet
async def get_file(request: web.Request) -> web.StreamResponse:
    """Answer with one of the page's files; never with the page in place of a missing one."""
    found = await request.app[PAGE].find(request.path.removeprefix("/"))
    if found is None:
        raise web.HTTPNotFound
    return _answer(request, found, {"Cross-Origin-Resource-Policy": "same-origin"})


def _answer(request: web.Request, file: File, headers: dict[str, str]) -> web.Response:
    is_packed = file.packed is not None and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
    tag = f'"{file.etag}-gzip"' if is_packed else f'"{file.etag}"'
    headers = headers | {
        hdrs.CACHE_CONTROL: FOR_GOOD if file.is_immutable else ASK_AGAIN,
        hdrs.ETAG: tag,
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }
    known = request.headers.get(hdrs.IF_NONE_MATCH, "").replace("W/", "").split(",")
    if tag in {each.strip() for each in known}:
        return web.Response(status=304, headers=headers)
    if is_packed:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    charset = "utf-8" if file.content_type.startswith("text/") else None
    return web.Response(
        body=file.packed if is_packed else file.body,
        headers=headers,
        content_type=file.content_type,
        charset=charset,
    )


def _answer_absent(request: web.Request, built: BuiltPage) -> web.Response:
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        raise web.HTTPNotFound
    is_building, reason = built.why_not()
    page = absent_page(is_building=is_building, reason=reason)
    headers = {"Content-Security-Policy": content_security_policy(page)}
    if is_building:
        headers[hdrs.RETRY_AFTER] = str(REFRESH_SECONDS)
    return web.Response(text=page, status=503, headers=headers, content_type="text/html")
