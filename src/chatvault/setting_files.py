"""Settings whose values are in files, as containers hand over secrets."""

from collections.abc import Iterable, Mapping
from pathlib import Path

# After a setting's name: the path of a file that has the value.
IN_FILE = "_FILE"


def read_files(environment: Mapping[str, str], variables: Iterable[str]) -> dict[str, str]:
    """Read the values that files hold, without white space around them.

    Args:
        environment: by name, in capitals.
        variables: names of settings; each may be followed by `_FILE`.

    Returns:
        The values found, by variable.

    Raises:
        ValueError: a file cannot be read or is empty, or its setting has a value already; one line.
    """
    values = {}
    for variable in variables:
        name = variable + IN_FILE
        path = environment.get(name)
        if not path:
            continue
        if environment.get(variable):
            raise ValueError(f"{variable} and {name} are both set; unset one")
        try:
            values[variable] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"{name}: {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{name}: {path} is not text") from None
        if not values[variable]:
            raise ValueError(f"{name}: {path} is empty")
    return values
