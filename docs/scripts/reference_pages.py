"""Pages of what is found by name: metrics, families, data sets, samplers, rules, recordings."""

from __future__ import annotations

import inspect
from functools import cache

import torch
from docstring_text import plain, without_sections
from keys_of_classes import cell, key_sections

import nas_sens as ns
from nas_sens.architectures import families
from nas_sens.data import DATASETS
from nas_sens.metrics import METRICS, metric_names, metrics
from nas_sens.recordings import recordings
from nas_sens.selection import RULES
from nas_sens.study.sampler import SAMPLERS

Pages = dict[str, str]  # path in the site to Markdown, in the order of the navigation
WORDS = {"larger": "larger is expected to be better", "smaller": "smaller is expected to be better"}


def metric_pages() -> Pages:
    """Return one page a measure, and their list."""
    rows = ["| measure | expected | costs | source |", "|---|---|---|---|"]
    pages: Pages = {"reference/metrics/index.md": ""}
    for name in metric_names():
        record = metrics().get(name)
        pages[f"reference/metrics/{name}.md"] = _metric_page(name)
        terms = (record.direction, record.cost, record.source) if record else ("–", "–", metric_names()[name])
        rows.append(f"| [{name}]({name}.md) | " + " | ".join(cell(plain(t)) for t in terms) + " |")
    text = (
        "# Metrics\n\nOne number of one network, for `nas-sens measure`, `[score] metrics` and `[train] metrics`. "
        "Which direction is better is what its source expects; whether it holds, a search measures. "
        "Those without a direction are no number of one network and its inputs alone, and are called from Python.\n\n"
    )
    pages["reference/metrics/index.md"] = text + "\n".join(rows) + "\n"
    return pages


def _metric_page(name: str) -> str:
    record = metrics().get(name)
    if record is None:
        module = next(m for m in METRICS.modules() if m.__name__.rpartition(".")[2] == name)
        public = [
            n
            for n in ns.__all__
            if getattr(inspect.unwrap(getattr(ns, n)), "__module__", "").startswith(module.__name__)
        ]
        parts = [f"::: {getattr(ns, n).__module__}.{n}" for n in public]
        return f"# {name}\n\n" + plain(module.__doc__ or "") + "\n\n" + "\n\n".join(parts) + "\n"
    needs = ["labels"] if record.needs_labels else []
    needs += [record.requirements] if record.requirements else []
    table = [
        ("Source", record.source),
        ("Direction", WORDS[record.direction]),
        ("Costs", record.cost),
        ("Needs", "; ".join(needs) or "any network and inputs"),
        ("On the example", _example_values()[name]),
    ]
    rows = "\n".join(f"| **{k}** | {cell(plain(v))} |" for k, v in table)
    function = getattr(ns, name, record.function)  # the public one, whose docstring has the equation
    public = f"nas_sens.{name}" if hasattr(ns, name) else f"{function.__module__}.{name}"
    return f"""# {name}

| | |
|---|---|
{rows}

```sh
nas-sens measure fc:depth=2,width=32 --data digits --init he_normal --metrics {name}
```

::: {function.__module__}.{name}
    options:
      heading: "{public}"
"""


@cache
def _example_values() -> dict[str, str]:
    """Return every measure of one small network, taken now."""
    data = ns.load_data(ns.DataSpec(name="digits"))
    spec = ns.FCSpec(depth=2, width=32, init="he_normal")
    model = spec.build(data.input_shape, data.n_outputs, generator=torch.Generator().manual_seed(0))
    x, y = data.x_val[:64], data.y_val[:64]
    found = ns.measure(model, x, y, generator=torch.Generator().manual_seed(0))
    where = "for a fully-connected network of two layers with 32 units and 64 digits"
    return {m.name: f"{m.value:.4g} {where}" if m.value is not None else f"none {where}: {m.problem}" for m in found}


def family_pages() -> Pages:
    """Return one page an architecture family, and their list."""
    rows, pages = ["| family | |", "|---|---|"], {"reference/families/index.md": ""}
    for name, family in families().items():
        text = without_sections(family.__doc__)
        source = inspect.getmodule(family)
        rows.append(f"| [{name}]({name}.md) | {cell(text.partition(chr(10))[0])} |")
        pages[f"reference/families/{name}.md"] = (
            f"# {name}\n\n{text}\n\n*{plain((getattr(source, '__doc__', '') or '').partition(chr(10))[0])}*\n\n"
            f"In a space: a table `[{name}]`, in Python `{family.__module__}.{family.__name__}`. Every key may "
            f"be fixed, a choice, or a range ([search spaces](../../guides/search_spaces.md)).\n\n"
            f"{key_sections(family)}\n"
        )
    pages["reference/families/index.md"] = (
        "# Families\n\nA family is a table of a search space.\n\n" + "\n".join(rows) + "\n"
    )
    return pages


def data_pages() -> Pages:
    """Return one page a data set, and their list."""
    rows, pages = ["| data | |", "|---|---|"], {"reference/data/index.md": ""}
    for name, dataset in DATASETS.table().items():
        full = f"{name}:{dataset.argument}" if dataset.argument else name
        keys = ", ".join(f"`{o}`" for o in dataset.options) or "none of its own"
        rows.append(f"| [{full}]({name}.md) | {cell(plain(dataset.description))} |")
        text = plain(inspect.getmodule(dataset.load).__doc__ or dataset.description)
        pages[f"reference/data/{name}.md"] = (
            f'# {name}\n\n{text}\n\n```toml\n[data]\nname = "{full}"\n```\n\nKeys of `[data]` that it takes '
            f"beside those of all data: {keys} ([all keys](../study/data.md)). "
            f"What is read of it: `nas-sens data {full}`.\n"
        )
    pages["reference/data/index.md"] = "# Data\n\nWhat `[data] name` may be.\n\n" + "\n".join(rows) + "\n"
    return pages


def named_pages() -> Pages:
    """Return the pages of samplers, rules of selection, and recordings."""
    tables = {
        "samplers": (
            "Samplers",
            "`[search] sampler`: how candidates are proposed.",
            {n: s.description or "" for n, s in SAMPLERS.table().items()},
        ),
        "rules": ("Rules", "`[select] rule`: what is trained next.", {n: r.__doc__ or "" for n, r in RULES.items()}),
        "recordings": (
            "Recordings",
            "`[train] recordings`: arrays that are kept of a trained network.",
            {n: f"{', '.join(r.fields)} ({r.source})" for n, r in recordings().items()},
        ),
    }
    return {
        f"reference/{file}.md": f"# {title}\n\n{text}\n\n| name | |\n|---|---|\n"
        + "".join(f"| `{n}` | {cell(plain(' '.join(d.split())))} |\n" for n, d in table.items())
        for file, (title, text, table) in tables.items()
    }
