"""Any table that Python's csv module writes is read back as it was, or refused."""

from __future__ import annotations

import csv

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, read_samples

N = 12
NUMBERS = st.lists(st.integers(-(10**5), 10**5).map(lambda k: k / 100), min_size=N, max_size=N)
WORDS = st.lists(st.text("ab ;,\t|\"'#é", min_size=1, max_size=4).filter(str.strip), min_size=N, max_size=N)


@given(
    numbers=NUMBERS, words=WORDS, sep=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]), decimal=st.sampled_from(".,"),
)  # fmt: skip
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_written_is_read_or_refused(tmp_path_factory, numbers, words, sep, end, quoting, decimal):
    path = tmp_path_factory.getbasetemp() / "roundtrip.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=sep, lineterminator=end, quoting=quoting)
        writer.writerow(["number", "word", "y"])
        writer.writerows(
            (str(v).replace(".", decimal), w, "pq"[i % 2]) for i, (v, w) in enumerate(zip(numbers, words, strict=True))
        )
    try:
        samples = read_samples(DataSpec(name=f"csv:{path}", target="y"))
    except InvalidInputError:
        return
    x = dict(zip(samples.feature_names, samples.x.numpy().T, strict=True))
    np.testing.assert_allclose(x["number"], numbers, rtol=1e-6)
    values = {name.removeprefix("word="): column for name, column in x.items() if name.startswith("word=")}
    assert [next(v for v in values if values[v][i]).strip() for i in range(N)] == [w.strip() for w in words]
    assert samples.y.tolist() == [i % 2 for i in range(N)]
