"""Errors: the exit code of each, close matches, and what a message says."""

from __future__ import annotations

import pickle

import pytest

from costmodel import errors
from costmodel.errors import CostModelError, InvalidFileError, ProfileError, UnknownNameError, UsageError, close_matches, unknown

NAMES = ["efficientnet-b0", "efficientnet-b5", "mobilenet-v2", "resnet-50"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("CostModelError", 1),
        ("UnmodelledError", 1),
        ("UsageError", 2),
        ("UnknownNameError", 2),
        ("ShapeError", 2),
        ("BudgetExceededError", 3),
        ("InvalidFileError", 4),
        ("ProfileError", 4),
    ],
)
def test_exit_codes(name: str, code: int) -> None:
    found = getattr(errors, name)
    assert issubclass(found, CostModelError)
    assert found.exit_code == code


def test_a_profile_error_lists_its_problems_and_survives_pickling() -> None:
    one, two = ProfileError("a.toml", ("line 1: x",)), ProfileError("a.toml", ("line 1: x", "line 2: y"))
    assert str(one) == "a.toml: 1 problem\nline 1: x"
    assert str(two) == "a.toml: 2 problems\nline 1: x\nline 2: y"
    again = pickle.loads(pickle.dumps(two))
    assert (type(again), str(again), again.path, again.problems) == (ProfileError, str(two), "a.toml", two.problems)
    assert isinstance(two, InvalidFileError)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("efficentnet-b5", "efficientnet-b5"),
        ("EfficientNet-B5", "efficientnet-b5"),
        ("mobilenetv2", "mobilenet-v2"),
        ("resnet", "resnet-50"),
        ("res", "resnet-50"),  # a beginning is close
    ],
)
def test_the_best_match_comes_first(given: str, expected: str) -> None:
    assert close_matches(given, NAMES)[0] == expected


def test_matches_are_few_and_each_once() -> None:
    many = [f"net-{number}" for number in range(50)]
    assert len(close_matches("net", many)) == 5
    assert len(set(close_matches("net-1", many))) == 5
    assert close_matches("net-1", many, limit=2) == close_matches("net-1", many)[:2]
    assert close_matches("zzz", NAMES) == close_matches("", NAMES) == close_matches("x", []) == ()


def test_an_unknown_name_says_what_is_close_or_what_there_is() -> None:
    assert str(unknown("model", "resnet-51", NAMES)) == "unknown model 'resnet-51'; did you mean resnet-50?"
    assert str(unknown("law", "zzz", ["b", "a", "a"])) == "unknown law 'zzz'; available: a, b"
    assert str(unknown("law", "zzz", [])) == "unknown law 'zzz'; available: none"
    assert str(unknown("model", "zzz", map(str, range(21)), hint="list them")) == "unknown model 'zzz'; list them"
    found = unknown("model", "resnet-51", NAMES)
    assert isinstance(found, UsageError)
    assert found.matches == ("resnet-50",)


def test_an_unknown_name_survives_pickling() -> None:
    found = unknown("model", "resnet-51", NAMES)
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again), again.matches) == (UnknownNameError, str(found), found.matches)
