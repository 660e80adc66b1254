"""Resumable uploads with the tus protocol 1.0: https://tus.io/protocols/resumable-upload."""

import base64
import binascii
from datetime import UTC
from email.utils import format_datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import (
    InvalidInput,
    Malformed,
    StaleVersion,
    Throttled,
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
)
from chatvault.fields import Id, Instant
from chatvault.http.bodies import body_chunks
from chatvault.http.requests import IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused
from chatvault.importing.uploads import service as upload_service
from chatvault.importing.uploads.files import NoSpace
from chatvault.importing.uploads.service import (
    MAX_LENGTH,
    UploadBusy,
    UploadDeps,
    UploadElsewhere,
    UploadInUse,
    UploadState,
    WrongOffset,
)

UPLOAD_DEPS = web.AppKey("upload_deps", UploadDeps)
PATH = "/imports/uploads"
TUS = "1.0.0"
TUS_HEADERS = {
    "Tus-Resumable": TUS,
    "Tus-Version": TUS,
    "Tus-Extension": "creation,expiration,termination",
    "Tus-Max-Size": str(MAX_LENGTH),
}
PART = "application/offset+octet-stream"
SENDS = ("Upload-Offset", "Upload-Length", "Upload-Expires")
routes = Routes("imports")


class UnsupportedTus(StaleVersion):
    """The version of tus must be 1.0.0."""

    code = "unsupported_tus_version"


class TusHeaders(BaseModel):
    """The version of the protocol that the client uses; by default the supported one."""

    tus: str = Field(TUS, alias="Tus-Resumable", max_length=32)


class CreationHeaders(IdempotencyHeaders, TusHeaders):
    """The length and the name of the file to upload."""

    length: Annotated[
        int, Field(alias="Upload-Length", ge=1, description="the number of bytes of the file")
    ]
    metadata: Annotated[
        str,
        Field(
            alias="Upload-Metadata",
            max_length=4096,
            description="pairs of a name and a value in base64; `filename` is shown in reports",
        ),
    ] = ""


class UploadPartHeaders(TusHeaders):
    """The offset of a part."""

    offset: Annotated[
        int,
        Field(
            alias="Upload-Offset",
            ge=0,
            le=MAX_LENGTH,
            description="the offset of the part's first byte in the file",
        ),
    ]


class UploadPath(BaseModel):
    """The path of one upload."""

    upload_id: Id


class UploadOut(BaseModel):
    """An upload; `offset` is the number of bytes that have arrived."""

    id: Id
    name: str
    offset: int
    length: int
    expires_at: Instant


async def add_tus_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every response about uploads has, errors included."""
    if request.path.startswith(PATH):
        response.headers.update(TUS_HEADERS)


def _check_tus(headers: TusHeaders) -> None:
    if headers.tus != TUS:
        raise UnsupportedTus


def _name_of(metadata: str) -> str:
    """Return the file's name from metadata such as `filename d29ybGQuemlw`.

    Raises:
        InvalidInput: the metadata is malformed.
    """
    pairs = dict(pair.strip().partition(" ")[::2] for pair in metadata.split(","))
    try:
        name = base64.b64decode(pairs.get("filename", ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        detail = "filename is no text in base64"
        place, kind = ("header", "Upload-Metadata"), "not_base64"
        raise InvalidInput.in_field(*place, problem=detail, kind=kind) from None
    return name or "the file"


def _headers_of(state: UploadState) -> dict[str, str]:
    expires = state.upload["expires_at"].replace(tzinfo=UTC)
    return {
        "Upload-Offset": str(state.offset),
        "Upload-Length": str(state.upload["length"]),
        "Upload-Expires": format_datetime(expires, usegmt=True),
    }


def _wire(state: UploadState) -> UploadOut:
    return UploadOut(
        id=state.upload["_id"],
        name=state.upload["name"],
        offset=state.offset,
        length=state.upload["length"],
        expires_at=state.upload["expires_at"],
    )


@routes.route(
    "POST",
    PATH,
    Action.IMPORT_CREATE_UPLOAD,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=UploadOut,
    errors=(TooLarge, Throttled, NoSpace, KeyReused, UnsupportedTus),
    sends=("Location", *SENDS),
)
async def create_upload(
    request: web.Request, actor: Actor, headers: CreationHeaders
) -> web.StreamResponse:
    """Create an upload of a file of up to 4 GB, which is sent in parts.

    It follows tus 1.0, so that any client of tus can be used. Send the parts to the `Location`.
    """
    _check_tus(headers)
    key = await idempotency_key_of(request, headers, beside=f"{headers.length} {headers.metadata}")
    state = await upload_service.create(
        actor,
        request.app[UPLOAD_DEPS],
        length=headers.length,
        name=_name_of(headers.metadata),
        idempotency_key=key,
    )
    location = {"Location": f"{PATH}/{state.upload['_id']}"}
    return json_response(_wire(state), status=201, headers=_headers_of(state) | location)


@routes.route(
    "GET",
    PATH + "/{upload_id}",
    Action.IMPORT_GET_UPLOAD,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=UploadOut,
    errors=(UploadElsewhere, UnsupportedTus),
    sends=SENDS,
)
async def get_upload(
    request: web.Request, actor: Actor, path: UploadPath, headers: TusHeaders
) -> web.StreamResponse:
    """Return how many bytes of an upload have arrived; HEAD answers with headers only.

    The next part begins at this offset.
    """
    _check_tus(headers)
    state = await upload_service.get(actor, request.app[UPLOAD_DEPS], upload_id=path.upload_id)
    return json_response(_wire(state), headers=_headers_of(state))


@routes.route(
    "PATCH",
    PATH + "/{upload_id}",
    Action.IMPORT_APPEND_UPLOAD,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(
        *(UploadElsewhere, UploadBusy, UploadInUse, WrongOffset, UnsupportedTus),
        *(TooLarge, TooSlow, Malformed, UnsupportedMediaType, NoSpace),
    ),
    sends=SENDS,
    takes="The bytes of the file from `Upload-Offset` on, as many as you like.",
    media_taken=PART,
    max_body=MAX_LENGTH,
)
async def append_to_upload(
    request: web.Request, actor: Actor, path: UploadPath, headers: UploadPartHeaders
) -> web.StreamResponse:
    """Append a part to an upload.

    If the connection breaks, the bytes received so far stay; get the offset and continue there.
    """
    _check_tus(headers)
    if request.content_type != PART:
        raise UnsupportedMediaType(f"The body must be a part, and say so: Content-Type: {PART}")
    state = await upload_service.append(
        actor,
        request.app[UPLOAD_DEPS],
        upload_id=path.upload_id,
        offset=headers.offset,
        length=request.content_length,
        chunks=body_chunks(request),
    )
    return web.Response(status=204, headers=_headers_of(state))


@routes.route(
    "DELETE",
    PATH + "/{upload_id}",
    Action.IMPORT_DELETE_UPLOAD,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(UploadInUse, UnsupportedTus),
)
async def delete_upload(
    request: web.Request, actor: Actor, path: UploadPath, headers: TusHeaders
) -> web.StreamResponse:
    """Delete an upload, complete or not.

    An upload that was imported is deleted automatically.
    """
    _check_tus(headers)
    await upload_service.delete(actor, request.app[UPLOAD_DEPS], upload_id=path.upload_id)
    return web.Response(status=204)
