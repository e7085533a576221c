"""What several tests share: small real data, and a watch on the global random state."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import nas_sens  # noqa: F401  before PyTorch, whose threads then sleep where they wait

# Networks are tiny: more threads cost more than they give, above all on a busy machine. Processes that tests start take
# as many, since the last bits of results depend on it; libraries read the variables when they are imported.
THREADS = os.environ.setdefault("NAS_SENS_TEST_THREADS", "1")
os.environ.update(OMP_NUM_THREADS=THREADS, MKL_NUM_THREADS=THREADS)


import numpy as np
import pytest
import torch
from hypothesis import settings

from nas_sens.core import user_code
from nas_sens.data import DataSpec, Splits, load_data
from tests.shared_study import Undisturbed, search_undisturbed

torch.set_num_threads(int(THREADS))

# The same examples at every run: what fails once fails again, here and elsewhere. No deadline: first examples import.
settings.register_profile("nas_sens", deadline=None, derandomize=True, max_examples=50, print_blob=False)
settings.load_profile("nas_sens")
with contextlib.suppress(ImportError, AttributeError):  # of other versions of Hypothesis
    from hypothesis.internal.conjecture import providers

    # It also draws numbers that stand in the code of whichever modules are loaded: examples of a test would depend on
    # which tests ran before it.
    _none = providers._local_constants
    providers._get_local_constants = lambda: _none


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where what was read of pictures is kept, which is not the user's."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["NAS_SENS_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def digits() -> Splits:
    """200 training, 180 validation and 150 test digits of 8×8 pixels, raw in [0, 1]."""
    return load_data(DataSpec(name="digits", train_samples=200, val_samples=180, test_samples=150))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What one process alone finds in the study that others share."""
    return search_undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(autouse=True)
def own_code_is_forgotten():
    """Forget the folders beside the studies of a test, in which its process would look for modules from then on."""
    before = os.environ.get(user_code.FOLDERS)
    yield
    if before is None:
        os.environ.pop(user_code.FOLDERS, None)
    else:
        os.environ[user_code.FOLDERS] = before


@pytest.fixture
def generator() -> torch.Generator:
    """A generator of its own for every test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def same_global_rng():
    """Fail the test if it leaves torch's or NumPy's global random state other than it found it."""
    before, np_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before), "torch's global random state was altered"
    assert (np.random.get_state()[1] == np_before).all(), "NumPy's global random state was altered"  # noqa: NPY002
