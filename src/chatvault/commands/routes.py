"""HTTP routes of commands and tools."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.commands import catalogue, errors, permissions, service
from chatvault.commands.deps import CommandDeps
from chatvault.commands.schemas import (
    CommandIn,
    CommandOut,
    CommandPath,
    CommandQuery,
    RuleOut,
    RulePath,
    ServerOut,
    ToolOut,
)
from chatvault.conversations.headers import AsyncHeaders
from chatvault.conversations.schemas import ConversationPath, MessagePath
from chatvault.errors import ConversationArchived, Throttled
from chatvault.fields import Raw
from chatvault.http.bodies import LINE_BODY
from chatvault.http.requests import RECORDER, IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import SESSION_ONLY, Routes
from chatvault.idempotency import KeyReused

PATH = "/conversations/{conversation_id}/commands"
COMMAND_DEPS = web.AppKey("toolbox", CommandDeps)
routes = Routes("commands")


@routes.route(
    "GET", "/mcp/servers", Action.TOOL_LIST_SERVERS, scope=Scope.AGENTS_RUN, returns=list[ServerOut]
)
async def list_servers(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List the servers of tools, and whether they can be reached.

    As the process sees it that answers. `left_out` has the tools that cannot be offered, each
    with its reason.
    """
    return json_response(await catalogue.list_servers(actor, request.app[COMMAND_DEPS]))


@routes.route("GET", "/mcp/tools", Action.TOOL_LIST, scope=Scope.AGENTS_RUN, returns=list[ToolOut])
async def list_tools(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List the tools that can be called now, and what the reader may do with each.

    Of two tools with one name it is the first server's that counts.
    """
    return json_response(await catalogue.list_tools(actor, request.app[COMMAND_DEPS]))


@routes.route(
    "GET", "/mcp/rules", Action.APPROVAL_RULE_LIST, scope=Scope.AGENTS_RUN, returns=list[RuleOut]
)
async def list_rules(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List the reader's rules that approve calls of tools.

    A rule is effective while an operator permits it.
    """
    rules = await permissions.list_rules(actor, request.app[RECORDER])
    return json_response([_rule(each) for each in rules])


@routes.route(
    "PUT",
    "/mcp/rules/{tool}",
    Action.APPROVAL_RULE_SET,
    scope=SESSION_ONLY,
    returns=RuleOut,
    errors=(errors.AutoApprovalNotPermitted,),
)
async def set_rule(_request: web.Request, actor: Actor, path: RulePath) -> web.StreamResponse:
    """Let calls of a tool run without being asked for each; needs a permission of its own.

    It holds for calls that come from now on, whatever their arguments.
    """
    return json_response(_rule(await permissions.set_rule(actor, tool=path.tool)))


@routes.route(
    "DELETE", "/mcp/rules/{tool}", Action.APPROVAL_RULE_DELETE, scope=SESSION_ONLY, status=204
)
async def delete_rule(_request: web.Request, actor: Actor, path: RulePath) -> web.StreamResponse:
    """Ask for each call of a tool again.

    Commands that run already come to their end.
    """
    await permissions.remove_rule(actor, tool=path.tool)
    return web.Response(status=204)


def _rule(stored: Raw) -> Raw:
    return {name: stored[name] for name in RuleOut.model_fields}


@routes.route(
    "GET", PATH, Action.COMMAND_LIST, scope=Scope.CONVERSATIONS_READ, returns=list[CommandOut]
)
async def list_commands(
    request: web.Request, actor: Actor, path: ConversationPath, query: CommandQuery
) -> web.StreamResponse:
    """List the newest 100 commands of a conversation, the newest first.

    Those of messages that were removed are not in it.
    """
    found = await service.list_commands(
        actor,
        request.app[COMMAND_DEPS],
        conversation_id=path.conversation_id,
        status=query.status,
    )
    return json_response(found)


@routes.route(
    "GET",
    PATH + "/{command_id}",
    Action.COMMAND_GET,
    scope=Scope.CONVERSATIONS_READ,
    returns=CommandOut,
)
async def get_command(request: web.Request, actor: Actor, path: CommandPath) -> web.StreamResponse:
    """Read one command.

    With its result, once it has one.
    """
    return json_response(await service.get(actor, request.app[COMMAND_DEPS], **dict(path)))


@routes.route(
    "POST",
    PATH + "/{command_id}/approve",
    Action.COMMAND_APPROVE,
    scope=Scope.AGENTS_RUN,
    returns=CommandOut,
    other={202: CommandOut},
    errors=(
        *(errors.ToolNotPermitted, errors.CommandSettled, errors.CommandSuperseded),
        *(errors.McpNotEnabled, ConversationArchived, errors.ServerUnavailable, KeyReused),
    ),
    sends=("Location", "Preference-Applied"),
)
async def approve_command(
    request: web.Request, actor: Actor, path: CommandPath, headers: AsyncHeaders
) -> web.StreamResponse:
    """Let a command run, once; the answer comes when it has, or at once if preferred so.

    A second time nothing happens, and the answer is the outcome. A tool that is not the one it
    was proposed for does not run: the command fails with `tool_changed`.
    """
    command = await service.approve(
        actor,
        request.app[COMMAND_DEPS],
        **dict(path),
        idempotency_key=await idempotency_key_of(request, headers),
        waits=not headers.is_async,
    )
    return _answer(command, headers)


@routes.route(
    "POST",
    PATH + "/{command_id}/reject",
    Action.COMMAND_REJECT,
    scope=Scope.AGENTS_RUN,
    returns=CommandOut,
    errors=(errors.CommandSettled, KeyReused),
)
async def reject_command(
    request: web.Request, actor: Actor, path: CommandPath, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Reject a command, so that it never runs; the model gets the rejection.

    Repeating it changes nothing. The reply continues once all its commands are settled.
    """
    command = await service.reject(
        actor,
        request.app[COMMAND_DEPS],
        **dict(path),
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return json_response(command)


@routes.route(
    "POST",
    "/conversations/{conversation_id}/messages/{message_id}/execute-command",
    Action.COMMAND_EXECUTE_TERMINAL,
    scope=Scope.AGENTS_RUN,
    returns=CommandOut,
    other={202: CommandOut},
    errors=(
        *(errors.ToolNotPermitted, errors.McpNotEnabled, errors.TooManyCommands, KeyReused),
        *(errors.InvalidCommand, ConversationArchived, errors.ServerUnavailable, Throttled),
    ),
    sends=("Location", "Preference-Applied"),
    max_body=LINE_BODY,
)
async def execute_command(
    request: web.Request,
    actor: Actor,
    path: MessagePath,
    headers: AsyncHeaders,
    body: CommandIn,
) -> web.StreamResponse:
    """Run a command line with the tool `terminal_command`, and keep it on the message.

    To ask is to approve. The model is shown it as a tool's output from then on.
    """
    command = await service.execute(
        actor,
        request.app[COMMAND_DEPS],
        conversation_id=path.conversation_id,
        message_id=path.message_id,
        command=body.command,
        idempotency_key=await idempotency_key_of(request, headers),
        waits=not headers.is_async,
    )
    return _answer(command, headers)


def _answer(command: Raw, headers: AsyncHeaders) -> web.Response:
    if not headers.is_async:
        return json_response(command)
    location = f"/conversations/{command['conversation_id']}/commands/{command['id']}"
    told = {"Location": location, "Preference-Applied": "respond-async"}
    return json_response(command, status=202, headers=told)
