"""Settings whose values are in files, as containers pass secrets."""

from collections.abc import Iterable, Mapping
from pathlib import Path

# Added to a setting's name: the variable then has the path of a file with the value.
IN_FILE = "_FILE"


def read_files(environment: Mapping[str, str], variables: Iterable[str]) -> dict[str, str]:
    """Read the values of settings that are in files, stripped of surrounding white space.

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
