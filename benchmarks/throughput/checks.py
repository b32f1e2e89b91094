"""Refusals of numbers that no measurement can be made with, before anything is opened."""

from engines.errors import UserError


def check_at_least_one(**given: int | None) -> None:
    """Options by name; None where one was left out.

    Raises:
        UserError: one is below 1.
    """
    for name, value in given.items():
        if value is not None and value < 1:
            raise UserError(f"--{name} {value} came; expected at least 1")


def check_durations(**given: float | None) -> None:
    """Options by name, in seconds; None where one was left out.

    Raises:
        UserError: one is not a number above 0, or has no end.
    """
    for name, value in given.items():
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"--{name} {value:g} came; expected seconds, more than 0 and finite")
