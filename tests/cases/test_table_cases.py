"""Tables as people have them: what is read of each, what is said of it, or the one line that refuses it.

One row a table. What is expected of those that are read is the whole of it: names and values of the features, classes,
and the notes; of those that are refused, the words that say what to do.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data, read_samples

N = 24


@dataclass(frozen=True)
class Read:
    """A table that is read. Rows of features are those of ``x``; every note must be named, and no other may be there."""

    id: str
    content: str | bytes
    x: Any
    y: Any
    features: tuple[str, ...]
    classes: tuple[str, ...] = ("p", "q")
    notes: tuple[str, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)


A = [round(0.25 * i, 2) for i in range(N)]
B = [round(100 - 1.5 * i, 2) for i in range(N)]
Y = [i % 2 for i in range(N)]
X = np.array([A, B]).T
SEMICOLONS, TABS = "fields are separated by semicolons", "fields are separated by tabs"
DAYS = [18262.0 + i for i in range(N)]  # from 2020-01-01


def lines(sep=",", header=("a", "b", "y"), rows=None, end="\n"):
    rows = rows or [(a, b, "pq"[y]) for a, b, y in zip(A, B, Y, strict=True)]
    return end.join([*([sep.join(header)] if header else []), *(sep.join(map(str, row)) for row in rows)]) + end


def comma(number):
    return str(number).replace(".", ",")


def column(values, name="b", others=A, y=Y):
    """Return a table with one more column."""
    return lines(header=("a", name, "y"), rows=[(a, v, "pq"[k]) for a, v, k in zip(others, values, y, strict=True)])


COMMAS = lines(";", rows=[(comma(a), comma(b), "pq"[y]) for a, b, y in zip(A, B, Y, strict=True)])
GROUPED = [1234.5 + 1000 * i for i in range(N)]
GERMAN = lines(
    ";",
    rows=[
        (f"{g:,.1f}".replace(",", "_").replace(".", ",").replace("_", "."), comma(b), "pq"[y])
        for g, b, y in zip(GROUPED, B, Y, strict=True)
    ],
)
WHOLE = [1000 * (i + 1) for i in range(N)]
IDS = [10**8 + 7 * i for i in range(N)]
ID_NOTE = "a different whole number in every row"
FAR = "features of very different scale"
LOST = "some features are large beside their differences"
TARGET = 'whole numbers are taken for classes; task = "regression"'
CITIES = [["Rome", "Oslo", "NA"][i % 3] for i in range(N)]
ONE_HOT = np.array([[a, c == "NA", c == "Oslo", c == "Rome"] for a, c in zip(A, CITIES, strict=True)], dtype=float)
MANY = [*(f"v{k:02d}" for k in range(49) for _ in range(4)), "v49", "v50", "v51", "v52"]
LATIN = lines(rows=[(a, b, ["grün", "rot"][y]) for a, b, y in zip(A, B, Y, strict=True)])

READ = [
    Read("plain", lines(), X, Y, ("a", "b")),
    Read("C1-semicolons", lines(";"), X, Y, ("a", "b"), notes=(SEMICOLONS,)),
    Read("C3-tabs", lines("\t"), X, Y, ("a", "b"), notes=(TABS,)),
    Read("C3-sep-line", "sep=;\n" + lines(";"), X, Y, ("a", "b"), notes=("the first line says",)),
    Read("bars", lines("|"), X, Y, ("a", "b"), notes=("fields are separated by vertical bars",)),
    Read("blanks", lines("  "), X, Y, ("a", "b"), notes=("fields are separated by blanks",)),
    Read("commas-and-blanks", lines(", "), X, Y, ("a", "b")),
    Read("quoted", lines().replace("p\n", '"p"\n').replace("q\n", '"q"\n').replace("a,b", '"a","b"'), X, Y, ("a", "b")),
    Read("C18-bom-crlf", b"\xef\xbb\xbf" + lines(end="\r\n").encode(), X, Y, ("a", "b")),
    Read("C13-latin1", LATIN.encode("latin-1"), X, Y, ("a", "b"), ("grün", "rot"), ("the encoding is not UTF-8",)),
    Read("C13-encoding-said", LATIN.encode("latin-1"), X, Y, ("a", "b"), ("grün", "rot"), spec={"csv": {"encoding": "latin-1"}}),
    Read("C13-utf16", LATIN.encode("utf-16"), X, Y, ("a", "b"), ("grün", "rot"), ("the encoding is UTF-16",)),
    Read("utf16-without-bom", LATIN.encode("utf-16-le"), X, Y, ("a", "b"), ("grün", "rot"), ("the encoding is UTF-16-LE",)),
    Read("decimal-commas", COMMAS, X, Y, ("a", "b"), notes=(SEMICOLONS, "the decimal point ','")),
    Read("decimal-commas-and-thousands", GERMAN, np.array([GROUPED, B]).T, Y, ("a", "b"),
         notes=(SEMICOLONS, "the decimal point ',' and '.' between thousands")),
    Read("thousands", column([f'"{w:,}"' for w in WHOLE]), np.array([A, WHOLE]).T, Y, ("a", "b"),
         notes=("the decimal point '.' and ',' between thousands", ID_NOTE, FAR)),
    Read("comments-above", "# made in 2020\n# by a machine\n" + lines(), X, Y, ("a", "b"), notes=("left out: 2 lines of comment",)),
    Read("comments-between", lines().replace("q\n", "q\n# pause\n", 3), X, Y, ("a", "b"), notes=("lines that begin with #",)),
    Read("a-hash-is-no-comment", column([f"C#{i % 3}" for i in range(N)]),
         np.array([[a, *(float(i % 3 == k) for k in range(3))] for i, a in enumerate(A)]), Y, ("a", "b=C#0", "b=C#1", "b=C#2")),
    Read("no-header", lines(header=()), X, Y, ("column_1", "column_2"), notes=("there is no header line",),
         spec={"target": "column_3"}),
    Read("years-are-a-header", lines(header=("2019", "2020", "y")), X, Y, ("2019", "2020")),
    Read("C12-comma-behind-rows", lines().replace("p\n", "p,\n").replace("q\n", "q,\n"), X, Y, ("a", "b"),
         notes=("rows end with a separator",)),
    Read("C12-comma-behind-all", lines().replace("\n", ",\n"), X, Y, ("a", "b"), notes=("left out, as it is empty",)),
    Read("numbered-rows", lines(header=("", "a", "b", "y"), rows=[(i, a, b, "pq"[y]) for i, (a, b, y) in
         enumerate(zip(A, B, Y, strict=True))]), X, Y, ("a", "b"), notes=("has no name and numbers the rows",)),
    Read("an-empty-column", lines(header=("a", "b", "c", "y"), rows=[(a, b, "", "pq"[y]) for a, b, y in
         zip(A, B, Y, strict=True)]), X, Y, ("a", "b"), notes=("column 'c': left out, as it is empty",)),
    Read("drop", column(["?" if i % 5 == 0 else i for i in range(N)]), np.array([A]).T, Y, ("a",),
         notes=("column 'b': left out, as drop says",), spec={"drop": ["b"]}),
    Read("NA-is-a-value-of-text", column(CITIES, "c"), ONE_HOT, Y, ("a", "c=NA", "c=Oslo", "c=Rome"),
         notes=("column 'c': 8 are 'NA', a value like the others",)),
    Read("C9-None-is-a-class", lines().replace(",p\n", ",None\n"), X, Y, ("a", "b"), ("None", "q"),
         ("'None' is taken for a class",)),
    Read("C16-spellings", lines().replace(",p\n", ",Yes\n", 3).replace(",p\n", ",yes\n"), X, [0 if i in (0, 2, 4) else 2 - i % 2 if i % 2 else 2 for i in range(N)], ("a", "b"),
         ("Yes", "q", "yes"), ("differ only in blanks or capitals: 'Yes', 'yes'", "the validation set has no sample of the class 'Yes'")),
    Read("C8-identifiers", column(IDS, "id"), np.array([A, IDS]).T, Y, ("a", "id"), notes=(ID_NOTE, LOST)),
    Read("dates", column([f"2020-01-{i + 1:02d}" for i in range(N)], "day"), np.array([A, DAYS]).T, Y, ("a", "day"),
         notes=("column 'day': taken as days since 1970",)),
    Read("dates-with-points", column([f"{i + 1:02d}.01.2020" for i in range(N)], "day"), np.array([A, DAYS]).T, Y, ("a", "day"),
         notes=("taken as days since 1970",)),
    Read("dates-month-last", column([f"{i + 1:02d}/01/2020" for i in range(N)], "day"), np.array([A, DAYS]).T, Y, ("a", "day"),
         notes=("taken as days since 1970",)),
    Read("truth-values", column([["TRUE", "FALSE"][i % 3 > 0] for i in range(N)]),
         np.array([A, [float(i % 3 == 0) for i in range(N)]]).T, Y, ("a", "b")),
    Read("C18-truth-as-target", lines().replace(",p\n", ",FALSE\n").replace(",q\n", ",TRUE\n"), X, Y, ("a", "b"), ("False", "True")),
    Read("whole-numbers-as-classes", lines().replace(",p\n", ",3\n").replace(",q\n", ",7\n"), X, Y, ("a", "b"), ("3", "7"),
         (f"target 'y': 2 different {TARGET}",)),
    Read("C6-many-whole-numbers", lines(rows=[(a, b, 3 * i) for i, (a, b) in enumerate(zip(A, B, strict=True))]), X,
         [[3.0 * i] for i in range(N)], ("a", "b"), (),
         ("target 'y': 24 different whole numbers are taken for a quantity to predict (task: regression)",)),
    Read("C6-task-said", lines().replace(",p\n", ",3\n").replace(",q\n", ",7\n"), X,
         [[[3.0, 7.0][y]] for y in Y], ("a", "b"), (), spec={"task": "regression"}),
    Read("C16-every-value-a-class", lines().replace(",p\n", ",?\n", 2).replace(",p\n", ",1\n"), X,
         [1 if i in (0, 2) else 2 if i % 2 else 0 for i in range(N)], ("a", "b"), ("1", "?", "q"),
         ("'?' is taken for a class", "the validation set has no sample of the class '?'",
          "the test set has no sample of the class '?'"), {"task": "classification"}),
    Read("rare-values", lines(header=("a", "c", "y"), rows=[(i / 8, v, "pq"[i % 2]) for i, v in enumerate(MANY)]),
         np.array([[i / 8, *(float(v == f"v{k:02d}") for k in range(49)), float(v > "v48")] for i, v in enumerate(MANY)]),
         [i % 2 for i in range(200)], ("a", *(f"c=v{k:02d}" for k in range(49)), "c=one of 4 rare values"),
         notes=("the rarest of its 53 values share one feature",)),
    Read("percent", column([f"{i}%" for i in range(N)]), np.array([A, range(N)]).T, Y, ("a", "b"), notes=("'0%' is read as the number 0",)),
    Read("currency", column([f"${b}" for b in B]), X, Y, ("a", "b"), notes=("is read as the number",)),
    Read("units", column([f"{b} cm" for b in B]), X, Y, ("a", "b"), notes=("is read as the number",)),
    Read("codes-are-no-amounts", column([f"A{i % 2}" for i in range(N)]), [[a, 1 - i % 2, i % 2] for i, a in enumerate(A)], Y, ("a", "b=A0", "b=A1")),
    Read("far-dates", column([f"{1200 + i}-01-01" for i in range(N)], "d"),
         np.array([A, [(np.datetime64(f"{1200 + i}-01-01") - np.datetime64("1970-01-01")).astype(int) for i in range(N)]]).T, Y,
         ("a", "d"), notes=("taken as days since 1970", FAR)),
    Read("lines-before-the-header", "Instrument: X200\nDate: 2020-01-01, 10:00\n\n" + lines(), X, Y, ("a", "b"),
         notes=("left out: 2 lines before the header line, which names 'y'",)),
    Read("empty-rows", lines() + ",,\n,,\n", X, Y, ("a", "b"), notes=("2 rows without any value are left out",)),
    Read("a-header-over-two-lines", '"a\nmm",b,y\n' + lines(header=()), X, Y, ("a\nmm", "b")),
    Read("names-in-a-comment", "# a b y\n" + lines(" ", header=()), X, Y, ("a", "b"),
         notes=("left out: 1 line of comment", "fields are separated by blanks", "as a line of comment says")),
    Read("blanks-and-quotes", lines(" ", header=('"a"', '"b"', '"y"'), rows=[(a, b, '"p q"' if y else '"p"') for a, b, y in zip(A, B, Y, strict=True)]),
         X, Y, ("a", "b"), ("p", "p q"), ("fields are separated by blanks",)),
    Read("all-text-without-header", lines(header=(), rows=[("xz"[i % 2], "pq"[i % 2]) for i in range(N)]),
         [[1 - i % 2, i % 2] for i in range(N)], Y, ("column_1=x", "column_1=z"), notes=("there is no header line",), spec={"target": "column_2"}),
    Read("utf-32", LATIN.encode("utf-32"), X, Y, ("a", "b"), ("grün", "rot"), ("the encoding is UTF-32",)),
    Read("cp1252", LATIN.replace("grün", "€").encode("cp1252"), X, [1 - y for y in Y], ("a", "b"), ("rot", "€"), ("taken for cp1252",)),
    Read("gz-by-content", gzip.compress(lines().encode()), X, Y, ("a", "b")),
    Read("zeros-before-numbers", column([f"0{i % 3}1" for i in range(N)], "zip"), np.array([A, [10.0 * (i % 3) + 1 for i in range(N)]]).T, Y,
         ("a", "zip"), notes=("column 'zip': '001' and the like are taken for numbers; if they are codes, set text",)),
    Read("codes", column([f"0{i % 3}1" for i in range(N)], "zip"), np.array([[a, *(float(i % 3 == k) for k in range(3))] for i, a in enumerate(A)]), Y,
         ("a", "zip=001", "zip=011", "zip=021"), spec={"csv": {"text": ["zip"]}}),
    Read("gz", gzip.compress(lines().encode()), X, Y, ("a", "b")),
    Read("bz2", bz2.compress(lines().encode()), X, Y, ("a", "b")),
    Read("xz", lzma.compress(lines().encode()), X, Y, ("a", "b")),
]  # fmt: skip
ENDINGS = {"gz": ".csv.gz", "bz2": ".csv.bz2", "xz": ".csv.xz"}


@pytest.mark.parametrize("case", READ, ids=lambda c: c.id)
def test_what_is_read(case, tmp_path):
    path = tmp_path / f"table{ENDINGS.get(case.id, '.csv')}"
    path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    spec = DataSpec(**{"name": f"csv:{path}", "target": "y", **options(case.spec)})
    samples = read_samples(spec)
    assert samples.feature_names == case.features
    assert samples.class_names == case.classes
    np.testing.assert_allclose(samples.x, np.asarray(case.x, dtype=float), rtol=1e-6)
    assert samples.y.tolist() == case.y
    splits = load_data(spec)
    expected = [re.escape(note) for note in case.notes]
    assert len(splits.notes) == len(expected), splits.notes
    for note in expected:
        assert any(re.search(note, said) for said in splits.notes), (note, splits.notes)
    assert splits.x_train.dtype == torch.float32


def options(spec):
    from nas_sens.data.csv_spec import CsvSpec

    return {k: CsvSpec(**v) if k == "csv" else v for k, v in spec.items()}


REFUSED = [
    ("C5-question-marks", column(["?" if i % 5 == 0 else i for i in range(N)]), {},
     "the column 'b' must hold a number in every row, but 5 are '[?]'; clean or impute .* or leave it out: drop = \\[\"b\"\\]"),
    ("NA-among-numbers", column(["NA" if i == 3 else i for i in range(N)]), {}, "column 'b' must hold a number .* 1 is 'NA'"),
    ("C17-blanks-among-numbers", column([" " if i % 5 == 0 else i for i in range(N)]), {}, "column 'b' must have a value .*5 are empty"),
    ("gaps-in-text", column(["" if i % 5 == 0 else "x" for i in range(N)]), {}, "column 'b' must have a value .*5 are empty"),
    ("C19-gaps-in-target", lines().replace(",p\n", ",\n"), {}, "'y' must have a value .*12 are empty .* it is the target"),
    ("C19-wrong-case", lines(), {"target": "Y"}, "no column 'Y' to predict; columns: a, b, y; did you mean 'y'"),
    ("target-twice", lines(header=("a", "y", "y")), {}, "several columns are called 'y', the target; .*drop = \\[\"y.1\"\\]"),
    ("quoted-by-apostrophes", lines(rows=[(a, "'x, y'", "pq"[y]) for a, y in zip(A, Y, strict=True)]), {}, "the rows have 4 fields"),
    ("one-row-quoted-by-apostrophes", column(["'x, y'", *["z"] * (N - 1)]), {}, "row 1 has 4; put text that holds the separator in"),
    ("spreadsheet-errors", column(A, "b", others=["#N/A" if i == 4 else a for i, a in enumerate(A)]), {}, "column 'a' must hold a number .* 1 is '#N/A'"),
    ("infinity", column(["inf" if i == 4 else i for i in range(N)]), {}, "column 'b' must hold finite numbers, but 1 are not"),
    ("header-of-another-separator", "a,b,y\n" + lines(";", header=()), {}, "the rows have 1 field, the header line 3"),
    ("unknown-separator", lines("~"), {}, "only one, 'a~b~y'; if another character"),
    ("shuffled-row-numbers", lines(header=("", "a", "y"), rows=[(i * 7 % N, a, "pq"[y]) for i, (a, y) in enumerate(zip(A, Y, strict=True))]), {},
     "column 1 has no name.*drop = \\[\"Unnamed: 0\"\\]"),
    ("C16-mixed-target", lines().replace(",p\n", ",?\n", 2).replace(",p\n", ",1\n").replace(",q\n", ",2\n"), {},
     "target 'y' must hold a number in every row, but 2 are '\\?'.*task = \"classification\""),
    ("C15-one-of-a-class", lines().replace(",p\n", ",rare\n", 1), {}, "the class 'rare' has 1 sample: remove or merge it"),
    ("rows-of-more-fields", lines(header=("a", "y")), {}, "the rows have 3 fields, the header line 2; name every column"),
    ("one-row-of-more-fields", lines() + "1,2,p,4,5\n", {}, "fields of the header line: 3, but row 25 has 5"),
    ("day-or-month-first", column([f"{i % 12 + 1:02d}/{i % 9 + 1:02d}/2020" for i in range(N)]), {},
     "column 'b' holds dates such as '01/01/2020', of which it is not known whether the day or the month"),
    ("free-text", column([f"text {i} of many" for i in range(N)] * 3, others=A * 3, y=Y * 3)[:0] +
     lines(header=("a", "b", "y"), rows=[(i, f"text {i}", "pq"[i % 2]) for i in range(72)]), {},
     "column 'b' must hold numbers, or text whose values repeat .*given 72 different"),
    ("text-unknown", lines(), {"csv": {"text": ["c"]}}, "text in .data.csv. must name columns; given 'c'"),
    ("drop-unknown", lines(), {"drop": ["c"]}, "drop in \\[data\\] must name columns beside the target; given 'c'"),
    ("drop-target", lines(), {"drop": ["y"]}, "drop in \\[data\\] must name columns beside the target; given 'y'"),
    ("excel", b"PK\x03\x04" + bytes(50), {}, "is no CSV file but a zip or Excel file"),
    ("parquet", b"PAR1" + bytes(50), {}, "is no CSV file but a Parquet file"),
    ("html", "<!DOCTYPE html><html></html>", {}, "is no CSV file but an HTML"),
    ("json", '{"a": [1, 2]}', {}, "is no CSV file but a JSON file"),
    ("binary", bytes(range(256)), {}, "is no text file"),
    ("empty", "", {}, "at least one row are required; it is empty"),
    ("only-comments", "# nothing\n", {}, "it is empty"),
    ("wrong-encoding", LATIN.encode(), {"csv": {"encoding": "ascii"}}, "cannot be read in the encoding 'ascii'"),
    ("unknown-encoding", LATIN.encode(), {"csv": {"encoding": "klingon"}}, "cannot be read in the encoding 'klingon'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "spec", "message"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_what_is_refused(content, spec, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_data(DataSpec(**{"name": f"csv:{path}", "target": "y", **options(spec)}))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


DAMAGED = {
    "cut.csv.gz": gzip.compress(lines().encode() * 50)[:-20],
    "plain.csv.gz": lines().encode(),
    "plain.csv.bz2": lines().encode(),
    "plain.csv.xz": lines().encode(),
    "plain.csv.zip": lines().encode(),
    "flipped.csv.xz": bytes(b ^ (255 if i == 60 else 0) for i, b in enumerate(lzma.compress(lines().encode()))),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_compressed_tables_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(InvalidInputError, match="cannot be read as a table"):
        load_data(DataSpec(name=f"csv:{tmp_path / name}", target="y"))


def test_a_zip_of_two_files_is_refused_and_one_of_one_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("t.csv", lines())
    assert load_data(DataSpec(name=f"csv:{tmp_path / 't.csv.zip'}", target="y")).feature_names == ("a", "b")
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "a") as archive:
        archive.writestr("u.csv", lines())
    with pytest.raises(InvalidInputError, match="must hold one file; it holds 2"):
        load_data(DataSpec(name=f"csv:{tmp_path / 't.csv.zip'}", target="y"))


def test_a_table_that_decompresses_beyond_the_limit_is_refused_and_the_limit_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(lines().encode() + lines(header=()).encode() * 20_000))
    spec = DataSpec(name=f"csv:{path}", target="y")
    monkeypatch.setenv("NAS_SENS_MAX_DATA_GIB", "0.001")
    with pytest.raises(
        InvalidInputError, match=r"decompresses to more than the 0.001 GiB .*raise NAS_SENS_MAX_DATA_GIB"
    ):
        load_data(spec)
    monkeypatch.setenv("NAS_SENS_MAX_DATA_GIB", "1")
    assert sum(len(y) for y in (load_data(spec).y_train, load_data(spec).y_val, load_data(spec).y_test)) == 480_024


def test_a_url_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="addresses cannot be read; give a path: download it first"):
        load_data(DataSpec(name="csv:https://example.org/iris.csv", target="y"))


def test_large_values_are_told_apart_until_they_are_standardised(tmp_path):
    """float32 has 24 binary digits: seconds since 1970 differ by 128 in it."""
    stamps = [1_600_000_000 + i for i in range(N)]
    path = tmp_path / "t.csv"
    path.write_text(lines(header=("a", "t", "y"), rows=[(a, t, "pq"[y]) for a, t, y in zip(A, stamps, Y, strict=True)]))
    splits = load_data(DataSpec(name=f"csv:{path}", target="y", standardize=True))
    values = torch.cat([splits.x_train, splits.x_val, splits.x_test])[:, 1]
    assert len(values.unique()) == N
    steps = values.sort().values.diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-5, atol=0)


def test_a_hash_below_the_first_lines_is_no_comment(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n0,1,p\n# pause\n" + lines(header=()) * 20 + "0,0,q#1\n" * 40)
    samples = read_samples(DataSpec(name=f"csv:{tmp_path / 't.csv'}", target="y"))
    assert samples.class_names == ("p", "q", "q#1")
    assert len(samples.y) == 1 + 20 * N + 40
