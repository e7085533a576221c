"""Optuna studies of somebody's own on database servers are read as they are on SQLite."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import create_trial

from nas_sens.core.errors import InvalidInputError
from nas_sens.own_study import attributes as names
from nas_sens.own_study.as_records import read_optuna_study
from nas_sens.storage.drivers import with_driver
from tests.databases import servers

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("start", [servers.postgresql, servers.mariadb], ids=lambda start: start.__name__)
def test_a_study_on_a_server_is_read(start):
    with start() as url:
        with pytest.raises(InvalidInputError, match="holds no study of Optuna"):  # nor are its tables made
            read_optuna_study(url, "mine")
        study = optuna.create_study(study_name="mine", storage=with_driver(url), direction="maximize")
        for i in range(3):
            attributes = {names.SENSITIVITY: 0.1 * i, names.PARAMS: 10 + i}
            study.add_trial(create_trial(value=float(i), user_attrs=attributes))
        found = read_optuna_study(url, "mine")
        assert [t.figures["value"] for t in found.trials] == [2.0, 1.0, 0.0]
        with pytest.raises(InvalidInputError, match="no study 'yours'"):
            read_optuna_study(url, "yours")
