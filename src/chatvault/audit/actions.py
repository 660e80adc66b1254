"""The names of everything that is audited, as `resource.verb`."""

from enum import StrEnum


class Action(StrEnum):
    """What was attempted; before the dot stands the kind of thing it was attempted on."""

    AGENT_CREATE = "agent.create"
    AGENT_DELETE = "agent.delete"
    AGENT_GET = "agent.get"
    AGENT_LIST = "agent.list"
    AGENT_UPDATE = "agent.update"
    AUDIT_COUNT = "audit.count"
    AUDIT_EXPORT = "audit.export"
    AUDIT_LIST = "audit.list"
    AUDIT_LIST_MINE = "audit.list_mine"
    CHAT_COMPLETE = "chat.complete"
    CONVERSATION_APPEND_MESSAGE = "conversation.append_message"
    CONVERSATION_APPEND_MESSAGES = "conversation.append_messages"
    CONVERSATION_ARCHIVE = "conversation.archive"
    CONVERSATION_CONTEXT = "conversation.context"
    CONVERSATION_COUNT = "conversation.count"
    CONVERSATION_CREATE = "conversation.create"
    CONVERSATION_DELETE = "conversation.delete"
    CONVERSATION_DELETE_ALL = "conversation.delete_all"
    CONVERSATION_DELETE_MESSAGE = "conversation.delete_message"
    CONVERSATION_EDIT_MESSAGE = "conversation.edit_message"
    CONVERSATION_GET = "conversation.get"
    CONVERSATION_GET_MESSAGE = "conversation.get_message"
    CONVERSATION_IMPORT = "conversation.import"
    CONVERSATION_LIST = "conversation.list"
    CONVERSATION_LIST_MESSAGES = "conversation.list_messages"
    CONVERSATION_LIST_REVISIONS = "conversation.list_revisions"
    CONVERSATION_REPLACE_MESSAGE = "conversation.replace_message"
    CONVERSATION_STATS = "conversation.stats"
    CONVERSATION_SUMMARIZE = "conversation.summarize"
    CONVERSATION_TITLE = "conversation.title"
    CONVERSATION_UPDATE = "conversation.update"
    IMPORT_RUN = "import.run"
    PREFERENCES_GET = "preferences.get"
    PREFERENCES_IMPORT = "preferences.import"
    PREFERENCES_UPDATE = "preferences.update"
    REPLY_CANCEL = "reply.cancel"
    REPLY_CREATE = "reply.create"
    REPLY_FINISH = "reply.finish"
    REPLY_FOLLOW = "reply.follow"
    REPLY_GET = "reply.get"
    SESSION_LIST = "session.list"
    SESSION_LOGIN = "session.login"
    SESSION_LOGOUT = "session.logout"
    SESSION_REVOKE = "session.revoke"
    SESSION_REVOKE_OTHERS = "session.revoke_others"
    USER_CREATE = "user.create"
    USER_DEACTIVATE = "user.deactivate"
    USER_ACTIVATE = "user.activate"
    USER_GET = "user.get"
    USER_LIST = "user.list"
    USER_PASSWORD = "user.change_password"  # noqa: S105  # a name of an action
    USER_ROLE = "user.change_role"

    @property
    def resource_type(self) -> str:
        """The kind of thing, such as `conversation`."""
        return self.value.partition(".")[0]


class Outcome(StrEnum):
    """How it ended: denied is refused by a rule, failed is everything else that did not happen."""

    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"
