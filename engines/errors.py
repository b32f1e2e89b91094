"""Errors a user can mend. The command line prints them on one line and exits with 2."""


class UserError(Exception):
    """Something given from outside is wrong.

    The message is one line in three parts: what came, what was expected, how to mend it.
    """


def one_line(error: object) -> str:
    """The text of a library's error, or what else it said, its line breaks gone."""
    return " ".join(str(error).split())


class BuildError(UserError):
    """A runtime refused to build an engine; the message ends with the tail of its log."""


class ContractError(UserError):
    """A bundle, an engine or an input does not keep the contract."""
