"""Compare the chain with the newest block seen and with a checkpoint."""

from chatvault.audit.mark import Mark
from chatvault.sealing.blocks import Block, Header


class Pins:
    """Finds contradictions between the chain and known blocks.

    Args:
        known: the newest block that this process knows of.
        checkpoint: a header that was kept elsewhere.
    """

    def __init__(self, known: Mark, checkpoint: Header | None) -> None:
        self._known = known
        self._checkpoint = checkpoint

    def problem_with(self, header: Header) -> str | None:
        """Return why this header cannot be at its height, or None."""
        height, checkpoint = header.height, self._checkpoint
        if checkpoint and height == checkpoint.height and header.signed != checkpoint.signed:
            return f"block {height} is not the checkpoint's: the log was rewritten"
        if height == self._known.height and header.hash != self._known.hash:
            return _other(height)
        return None

    async def problem_before(self, first: int) -> str | None:
        """Return why the newest known block, if before the first verified, is not in the chain.

        Raises:
            PyMongoError: the database cannot be read.
        """
        if not 0 <= self._known.height < first:
            return None
        try:
            header = await Block.find_header(self._known.height)
        except ValueError:
            header = None
        is_there = header is not None and header.hash == self._known.hash
        return None if is_there else _other(self._known.height)

    def problem_with_end(self, newest: int) -> str | None:
        """Return why the chain cannot end with a block of this height, or None."""
        if self._checkpoint and newest < self._checkpoint.height:
            why = f"the checkpoint is of block {self._checkpoint.height}"
        elif newest < self._known.height:
            known = self._known
            why = f"the log was sealed up to block {known.height}, with {known.count} entries"
        else:
            return None
        return f"block {newest + 1} is missing: {why}"


def _other(height: int) -> str:
    return f"block {height} is not the one that was sealed: the log was cut and sealed anew"
