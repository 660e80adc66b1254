"""Compare the newest block that entries name with the chain."""

from collections.abc import Mapping, Sequence

from chatvault.audit.mark import NOTHING, Mark
from chatvault.sealing.blocks import Block, Header

# How many headers are remembered; an entry that names an older one costs a look-up.
WINDOW = 20_000
BEYOND = "was written after a block that is gone: the log was cut"


class Claims:
    """Finds entries that name a block which is not in the chain.

    An attacker without the keys who cuts the log and has it sealed again cannot change the
    remaining entries: they still name the blocks that are gone.
    """

    def __init__(self) -> None:
        self._marks: dict[int, Mark] = {}
        self._is_marked: bool | None = None

    def add(self, header: Header) -> None:
        """Add a block of the chain, in order."""
        self._marks[header.height] = Mark(header.height, header.hash, header.total or 0)
        self._marks.pop(header.height - WINDOW, None)

    async def find_false(self, claims: Mapping[bytes, int], blocks: Sequence[int]) -> int | None:
        """Return the first place whose claim is false, or None.

        Args:
            claims: the claims, each with its first place.
            blocks: the block of each place.

        Raises:
            PyMongoError: the database cannot be read.
        """
        for claim, place in sorted(claims.items(), key=lambda each: each[1]):
            if not await self.is_true(claim, blocks[place]):
                return place
        return None

    async def is_true(self, claim: bytes, block: int | None) -> bool:
        """Whether a claim can be true.

        Args:
            claim: the entry's claim, as stored.
            block: the block that holds it; None if none does yet.

        Raises:
            PyMongoError: the database cannot be read.
        """
        if not claim:
            # Written before marks existed; chains then began with another form of header.
            return block is None or not await self._has_marks()
        mark = Mark.parse(claim)
        if mark.height < 0:
            return mark == NOTHING
        if block is not None and mark.height >= block:
            return False
        there = await self._find(mark.height)
        if there is None or there.hash != mark.hash:
            return False
        return there.count in {0, mark.count}

    async def _has_marks(self) -> bool:
        if self._is_marked is None:
            header = await _find_header(0)
            self._is_marked = header is not None and header.total is not None
        return self._is_marked

    async def _find(self, height: int) -> Mark | None:
        if height not in self._marks:
            header = await _find_header(height)
            if header is None:
                # It may be sealed a moment later: a missing block is not remembered.
                return None
            if len(self._marks) > 2 * WINDOW:
                self._marks.clear()
            self._marks[height] = Mark(height, header.hash, header.total or 0)
        return self._marks[height]


async def _find_header(height: int) -> Header | None:
    try:
        return await Block.find_header(height)
    except ValueError:
        return None
