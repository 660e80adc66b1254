"""An index of tantivy's in a directory: written in steps, and searched.

Nothing here waits for anything but processor and disk: call it in a thread or in another program.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from chatvault.search import words
from chatvault.search.terms import Query, Term

try:
    import tantivy
except ImportError:  # there is no wheel for this platform
    tantivy = None  # type: ignore[assignment]

# Of words and fields; raise it with any change of either.
FORMAT: Final = 1
META: Final = "meta.json"
# The least that tantivy takes.
HEAP_BYTES: Final = 15_000_000
# `phrase_prefix_query` takes this many of the words that begin so, and no more.
EXPANSIONS: Final = 50
_SPECIAL: Final = re.compile(r"[^\w]")


def is_installed() -> bool:
    """Whether there is tantivy."""
    return tantivy is not None


class Text(NamedTuple):
    """A message to be indexed.

    Attributes:
        conversation: the conversation's id, as text.
        at: its time, in milliseconds.
    """

    conversation: str
    seq: int
    at: int
    role: str
    content: str


class Candidate(NamedTuple):
    """A message, or a title, that may fit a query.

    Attributes:
        score: how well it fits; its time where all fit alike.
        conversation: the conversation's id, as text, which is quick to look up.
    """

    score: float
    conversation: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The messages that a query is about, as far as an index knows them.

    Attributes:
        conversations: their ids as text; None for all.
        role: of the messages.
        since: the earliest time, in milliseconds.
        until: the time after the last one.
    """

    conversations: Sequence[str] | None = None
    role: str | None = None
    since: int | None = None
    until: int | None = None


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    # Words of our own, joined by blanks.
    builder.add_text_field("body", tokenizer_name="whitespace", index_option="position")
    builder.add_text_field("conversation", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("role", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("seq", stored=True)
    builder.add_integer_field("at", fast=True, indexed=True)
    return builder.build()


def write(directory: Path, dropped: Iterable[str], texts: Iterable[Sequence[Any]]) -> None:
    """Remove the messages of conversations from an index, and add messages; make it if need be.

    Args:
        directory: of the index; nobody else may write to it.
        dropped: the conversations' ids, as text.
        texts: the messages, as `Text`.
    """
    exists = (directory / META).exists()
    index = tantivy.Index.open(str(directory)) if exists else None
    if index is None:
        index = tantivy.Index(_schema(), path=str(directory))
    writer = index.writer(heap_size=HEAP_BYTES, num_threads=1)
    for conversation in dropped:
        writer.delete_documents_by_term("conversation", conversation)
    for conversation, seq, at, role, content in texts:
        body = " ".join(words.split(content))
        document = tantivy.Document(body=body, conversation=conversation, seq=seq, at=at, role=role)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()


class Reader:
    """An index as it is in a directory now.

    Args:
        directory: of the index; it may be removed once this is made.
    """

    def __init__(self, directory: Path) -> None:
        self._index = tantivy.Index.open(str(directory))
        self._schema = self._index.schema
        self._searcher = self._index.searcher()

    @property
    def count(self) -> int:
        """The number of messages."""
        return int(self._searcher.num_docs)

    def frequency(self, word: str) -> int:
        """Return how many messages have a word."""
        return int(self._searcher.doc_freq("body", word))

    def search(
        self, query: Query, which: Filter, limit: int, *, is_exact: bool = True
    ) -> tuple[list[Candidate], int]:
        """Return the messages that fit best, best first, and how many fit.

        Args:
            query: what is searched for.
            which: of which messages.
            limit: at most that many.
            is_exact: whether the last word of an open phrase has to follow the others, which takes
                long where many words begin so; else it is anywhere in the message.
        """
        try:
            return self._search(query, which, limit, self._query if is_exact else self._loosely)
        except ValueError:
            # Too many words begin so: more is found, and sorted out when it is read.
            return self._search(query, which, limit, self._words)

    def _search(
        self, query: Query, which: Filter, limit: int, spell: Callable[[Term], Any]
    ) -> tuple[list[Candidate], int]:
        parts = [(tantivy.Occur.Must, spell(term)) for term in query.terms]
        parts += [(tantivy.Occur.MustNot, self._query(term)) for term in query.without]
        parts += [(tantivy.Occur.Must, each) for each in self._filters(which)]
        # Words that only begin so weigh alike.
        order = "at" if query.is_by_time else None
        both = tantivy.Query.boolean_query(parts)
        found = self._searcher.search(both, limit=limit, count=True, order_by_field=order)
        hits = []
        for score, address in found.hits:
            fields = self._searcher.doc(address).to_dict()
            hits.append(Candidate(float(score), fields["conversation"][0], fields["seq"][0]))
        return hits, int(found.count)  # type: ignore[attr-defined]  # its stub lacks it

    def _query(self, term: Term) -> Any:
        *first, last = term.words
        queries, schema = tantivy.Query, self._schema
        if term.is_prefix:
            begun = _escape(last) + ".*"
            if first:
                if not self._begins_many(last):
                    return queries.phrase_prefix_query(schema, "body", list(term.words))
                patterns: list[Any] = [*map(_escape, first), begun]
                return queries.regex_phrase_query(schema, "body", patterns)
            return queries.regex_query(schema, "body", begun)
        if first:
            return queries.phrase_query(schema, "body", list(term.words))
        return queries.term_query(schema, "body", last)

    def _begins_many(self, prefix: str) -> bool:
        found = self._searcher.terms_with_prefix("body", prefix, limit=EXPANSIONS + 1)
        return len(found) > EXPANSIONS

    def _loosely(self, term: Term) -> Any:
        """Return a query for the words of an open phrase with the last one anywhere."""
        *first, last = term.words
        if not (term.is_open_phrase and self._begins_many(last)):
            return self._query(term)
        whole = self._query(Term(tuple(first)))
        begun = tantivy.Query.const_score_query(self._query(Term((last,), is_prefix=True)), 0.0)
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, whole), (tantivy.Occur.Must, begun)]
        )

    def _words(self, term: Term) -> Any:
        """Return a query for the words of a phrase in any order, without the last."""
        whole = term.words[:-1] if term.is_open_phrase else ()
        parts = [(tantivy.Occur.Must, self._query(Term((each,)))) for each in whole]
        return tantivy.Query.boolean_query(parts) if parts else self._query(term)

    def _filters(self, which: Filter) -> list[Any]:
        queries, schema = tantivy.Query, self._schema
        filters = []
        if which.conversations is not None:
            ids = list(which.conversations)
            filters.append(queries.term_set_query(schema, "conversation", ids))
        if which.role is not None:
            filters.append(queries.term_query(schema, "role", which.role))
        if which.since is not None or which.until is not None:
            kind = tantivy.FieldType.Integer
            last = None if which.until is None else which.until - 1
            filters.append(queries.range_query(schema, "at", kind, which.since, last))
        return [queries.const_score_query(each, 0.0) for each in filters]


def _escape(word: str) -> str:
    """Return the regular expression that a word itself is."""
    return _SPECIAL.sub(lambda found: f"\\x{{{ord(found[0]):x}}}", word)
