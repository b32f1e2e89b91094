"""The built-in head, and a scene of it that is easy to check."""

import pytest

from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.model import HeadModel


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return builtin_head()
