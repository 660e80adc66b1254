"""Markdown rules that keep TeX formulas unchanged."""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# The delimiters that models write; a single dollar counts only without spaces inside.
INLINE = re.compile(
    r"\$\$(?P<a>[^$]+?)\$\$"
    r"|\\\((?P<b>.+?)\\\)"
    r"|\\\[(?P<c>.+?)\\\]"
    r"|\$(?P<d>[^\s$](?:[^$\n]{0,500}[^\s$\\])?)\$(?!\d)",
    re.DOTALL,
)
# The longest formula inside a paragraph; a longer one is text.
MOST = 4000
BLOCKS = {"$$": "$$", "\\[": "\\]"}


def add_tex(markdown: MarkdownIt) -> None:
    """Add rules to a parser: `tex` tokens for inline formulas, `tex_block` for others."""
    markdown.inline.ruler.before("escape", "tex", _inline)
    markdown.block.ruler.before(
        "fence", "tex_block", _block, {"alt": ["paragraph", "blockquote", "list"]}
    )


def _inline(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    if state.src[state.pos] not in "$\\":
        return False
    found = INLINE.match(state.src, state.pos, min(state.posMax, state.pos + MOST))
    if found is None:
        return False
    if not silent:
        token = state.push("tex", "", 0)
        token.content = found[0]
    state.pos = found.end()
    return True


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:  # noqa: FBT001  # the same
    if state.is_code_block(first):
        return False
    begin = state.bMarks[first] + state.tShift[first]
    closing = BLOCKS.get(state.src[begin : begin + 2])
    if closing is None:
        return False
    for line in range(first, last):
        if line > first and state.sCount[line] < state.blkIndent:
            return False
        start = begin + 2 if line == first else state.bMarks[line]
        if state.src[start : state.eMarks[line]].rstrip().endswith(closing):
            break
    else:
        return False
    if not silent:
        token = state.push("tex_block", "", 0)
        token.content = state.getLines(first, line + 1, state.blkIndent, keepLastLF=False)
        token.map = [first, line + 1]
        state.line = line + 1
    return True
