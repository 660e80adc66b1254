"""The documentation is in plain technical English: words that stand for riddles are refused."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from support import source

# Modules are parsed for all tests of the source.
pytestmark = pytest.mark.xdist_group("source")

ROOT = Path(__file__).parent.parent
MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
PACKAGE = sorted(ROOT.glob("src/chatvault/**/*.py"))
# Their docstrings and comments are checked too.
PYTHON = [*PACKAGE, *sorted([*ROOT.glob("tests/support/*.py"), *ROOT.glob("tests/test_docs*.py")])]
TESTS = sorted(ROOT.glob("tests/**/test_*.py"))
# Each with what to write instead.
ANYWHERE = {
    r"whence": "where … from",
    r"none twice": "each once",
    r"for ever": "without a limit, permanently",
    r"as ever": "as before, or nothing",
    r"living messages?": "messages that are not deleted",
    r"see that": "check that, make sure that",
    r"nobody's words|anybody's words": "no message text",
    r"go(es)? on|went on": "continues, stays valid",
    r"anew": "again",
    r"(is|are|was|were) told": "gets, is reported",
    r"tells? of": "names, reports",
    r"for good": "permanently",
    r"what (becomes?|became) of": "the outcome of",
    r"(is|are|was) found out": "is detected",
    r"fates?": "outcome",
    r"foret(ells?|old)": "previews, would",
}
# In docstrings and comments only.
IN_CODE = {
    r"lanes?": "commit queue",
    r"told of": "names, records, knows",
    r"in the way": "conflicts with",
    r"stands? there": "is there",
    r"so many": "that many, the number of",
    r"mend(s|ed|ing)?": "repair",
}
# At the beginning of a docstring.
FIRST = {
    r"(what|whose|which|where|how)\b": "a noun or a verb: the outcome of, Return the number of"
}
# In the names of tests, which say what happens.
IN_NAMES = {
    r"^(that|and|but|because|whose)_": "begin with a verb",
    r"(^|_)(is|are)_told(_|$)|(^|_)tells_": "reports",
    r"(^|_)anew(_|$)": "again",
    r"(^|_)go(es)?_on(_|$)": "continues",
    r"(^|_)(nobody|somebody)_?elses?(_|$)": "is hidden from others",
    r"(^|_)mend(s|ed)(_|$)": "repaired",
    r"(^|_)for_ever(_|$)|(^|_)as_ever(_|$)": "without a limit",
}
# At the beginning of a function's docstring, which says what the function does: "Return the …".
NO_VERBS = {
    "A",
    "All",
    "An",
    "Any",
    "As",
    "Each",
    "Every",
    "How",
    "One",
    "Some",
    "The",
    "What",
    "Which",
}


def nodes(path: Path) -> Iterable[ast.AST]:
    """Return all nodes of a module."""
    return source.walk(path.relative_to(source.ROOT) if path.is_relative_to(source.ROOT) else path)


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a module."""
    for node in nodes(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions of a module that are no properties and no fixtures."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
            re.search("property|fixture|callback", ast.unparse(each))
            for each in node.decorator_list
        ):
            yield node


def unclear_names(path: Path) -> list[str]:
    """Return the tests of a module whose names are riddles, each with what to write instead."""
    names = re.findall(r"^ *(?:async )?def test_(\w+)", path.read_text(), re.MULTILINE)
    return [
        f"{name}: {instead}"
        for name in names
        for word, instead in IN_NAMES.items()
        if re.search(word, name)
    ]


def comments(path: Path) -> str:
    return "\n".join(re.findall(r"(?:^|\s)# (.*)$", path.read_text(), re.MULTILINE))


def found(text: str, words: dict[str, str], *, at_start: bool = False) -> list[str]:
    """Return the words that a text has, each with what to write instead."""
    text = re.sub(r"\s+", " ", text)
    return [
        f"{match[0]!r}: write {instead}"
        for word, instead in words.items()
        for match in re.finditer(("" if at_start else r"\b") + word + r"\b", text, re.IGNORECASE)
        if not at_start or match.start() == 0
    ]


def faults(paths: Iterable[Path], look: Callable[[Path], list[str]]) -> dict[str, list[str]]:
    """Return what is wrong with files, by file.

    A test for each file would cost more than to read it.
    """
    all_of_them = {str(path.relative_to(ROOT)): look(path) for path in paths}
    return {name: wrong for name, wrong in all_of_them.items() if wrong}


def riddles(module: Path) -> list[str]:
    """Return the riddles in a module's docstrings and comments."""
    texts = list(docstrings(module))
    wrong = [each for text in texts for each in found(text, FIRST, at_start=True)]
    words = ANYWHERE | (IN_CODE if module != Path(__file__) else {})
    return wrong + found("\n".join([*texts, comments(module)]), words)


def without_a_verb(module: Path) -> list[str]:
    """Return the functions of a module whose docstrings do not say what they do."""
    described = {each: ast.get_docstring(each) or "" for each in functions(module)}
    nouns = [each.name for each, text in described.items() if text.split(" ")[0] in NO_VERBS]
    whether = [
        each.name
        for each, text in described.items()
        if text.startswith("Whether ") and "bool" not in ast.unparse(each.returns or each)
    ]
    return nouns + whether


def test_pages_have_no_riddles() -> None:
    assert faults(MARKDOWN, lambda page: found(page.read_text(), ANYWHERE)) == {}


def test_modules_have_no_riddles() -> None:
    assert faults(PYTHON, riddles) == {}


def test_functions_are_described_by_a_verb() -> None:
    assert faults(PACKAGE, without_a_verb) == {}


def test_names_of_tests_say_what_happens() -> None:
    assert faults(TESTS, unclear_names) == {}


def test_each_word_is_found() -> None:
    text = (
        "Whence it came: none twice, for ever, as ever. See that living messages. Nobody's words. "
        "It goes on anew; they are told; it tells of this for good; what became of it; its fate; "
        "it is found out, as foretold."
    )
    assert len(found(text, ANYWHERE)) == len(ANYWHERE)
    assert len(found("What is retired", FIRST, at_start=True)) == 1
    code = "Lane; told of; in the way; stands there; so many; mended"
    assert len(found(code, IN_CODE)) == len(IN_CODE)
