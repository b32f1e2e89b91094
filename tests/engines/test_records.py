"""Records to JSON and back; whatever does not fit is named, all at once."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from engines.errors import ContractError
from engines.records import from_value, read_json, to_json


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int
    kind: Literal["small", "large"] = "small"


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    share: float
    inner: Inner
    many: tuple[Inner, ...] = ()
    axes: tuple[int | str, ...] = ()
    by_name: dict[str, Inner] = field(default_factory=dict)
    maybe: int | None = None
    anything: dict[str, Any] = field(default_factory=dict)


FULL = Outer(
    name="full",
    share=0.5,
    inner=Inner(size=1, kind="large"),
    many=(Inner(size=2), Inner(size=3)),
    axes=("batch", 3),
    by_name={"a": Inner(size=4)},
    maybe=5,
    anything={"x": [1, {"y": None}]},
)


def test_round_trip() -> None:
    assert from_value(Outer, json.loads(to_json(FULL)), "here") == FULL


def test_defaults_fill_in_and_whole_numbers_pass_as_float() -> None:
    value = {"name": "short", "share": 1, "inner": {"size": 1}}
    record = from_value(Outer, value, "here")
    assert record == Outer(name="short", share=1.0, inner=Inner(size=1))
    assert isinstance(record.share, float)


def test_equal_records_give_equal_bytes() -> None:
    assert to_json(FULL) == to_json(
        from_value(
            Outer,
            asdict(FULL)
            | {"many": [{"kind": "small", "size": 2}, {"size": 3}], "axes": ["batch", 3]},
            "here",
        )
    )


def test_every_mismatch_is_named_at_once() -> None:
    value = {
        "name": 3,
        "inner": {"size": True, "kind": "middling"},
        "many": [{"size": "two"}],
        "axes": [1.5],
        "by_name": {"a": {"sise": 4}},
        "maybe": "five",
        "extra": 1,
    }
    with pytest.raises(ContractError) as caught:
        from_value(Outer, value, "file.json")
    message = str(caught.value)
    assert message.startswith("file.json: ")
    for fault in (
        "name is 3, expected str",
        "missing field share",
        "inner.size is True, expected int",
        "inner.kind is 'middling', expected one of small, large",
        "many[].size is 'two', expected int",
        "axes[] is 1.5",
        "unknown field by_name.a.sise",
        "missing field by_name.a.size",
        "maybe is 'five', expected int",
        "unknown field extra",
    ):
        assert fault in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [None, 3, [], "text"])
def test_what_is_no_object_is_said(value: Any) -> None:
    with pytest.raises(ContractError, match="expected an object"):
        from_value(Outer, value, "here")


def test_broken_or_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"none.json cannot be read"):
        read_json(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(ContractError, match=r"cut.json is not whole JSON"):
        read_json(tmp_path / "cut.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContractError, match=r"binary.json is not whole JSON"):
        read_json(tmp_path / "binary.json")
