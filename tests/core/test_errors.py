"""The tree of errors."""

from __future__ import annotations

import inspect

from nas_sens.core import errors


def test_all_errors_have_one_root():
    kinds = [v for v in vars(errors).values() if inspect.isclass(v)]
    assert len(kinds) >= 4
    assert all(issubclass(k, errors.NasSensError) for k in kinds)


def test_wrong_input_is_a_value_error_and_an_infeasible_architecture_is_not():
    # A candidate that does not fit is no mistake of the user's and must not be caught as one.
    assert issubclass(errors.InvalidInputError, ValueError)
    assert not issubclass(errors.InfeasibleArchitectureError, (ValueError, errors.InvalidInputError))
