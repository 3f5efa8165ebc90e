"""What a user gives to make: the Makefile hands each variable on as GIVEN_NAME, read by no shell."""

import shlex
from collections.abc import Mapping

import yaml

PREFIX = "GIVEN_"


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by their names, those without a value left out."""
    given = {name.removeprefix(PREFIX): text for name, text in environment.items() if name.startswith(PREFIX)}
    return {name: text for name, text in given.items() if text}


def words(text: str) -> list[str]:
    """The words of a text as a shell has them, in which quotes keep spaces. Errors: ValueError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r} cannot be read: {error}; write \\ before a single quote") from None


def assignment(text: str) -> tuple[str, object]:
    """A parameter from "name=value", the value read as YAML. Errors: ValueError."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"a parameter is written name=value, found {text!r}")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is {value!r}, which is no YAML: {' '.join(str(error).split())}") from None
