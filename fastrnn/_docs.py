"""Docstrings that have parts in common: each part is written once."""

import re
from collections.abc import Mapping
from textwrap import dedent, indent
from typing import TypeVar

T = TypeVar("T")


class Parts:
    """Parts of docstrings by name. As a decorator, it puts a part where a docstring has a line like ``{name}``."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        self._parts = {name: dedent(text).strip() for name, text in parts.items()}

    def including(self, **parts: str) -> "Parts":
        """Return these parts and more."""
        return Parts({**self._parts, **parts})

    def __call__(self, described: T) -> T:
        """Complete the docstring of a function or class."""
        if described.__doc__ is not None:  # as it is under python -OO
            described.__doc__ = re.sub(
                r"^( *)\{(\w+)\}$", lambda line: indent(self._parts[line[2]], line[1]), described.__doc__, flags=re.M
            )
        return described
