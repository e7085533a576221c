"""Pages of what is typed: every key of a study's file, every command, every public name of Python."""

from __future__ import annotations

import inspect
from collections import defaultdict

import click
from docstring_text import plain, without_sections
from keys_of_classes import cell, key_sections
from reference_pages import Pages

import nas_sens as ns
from nas_sens.cli.main import cli
from nas_sens.data.csv_spec import CsvSpec
from nas_sens.study.constraints import LatencySpec
from nas_sens.study.refine_spec import RefineSpec

TABLES: dict[str, type] = {  # page to the class that declares its keys, in the order of a study's file
    "study": ns.StudySpec,
    "data": ns.DataSpec,
    "data.csv": CsvSpec,
    "constraints.latency_ms": LatencySpec,
    "score": ns.ScoreSpec,
    "search": ns.SearchSpec,
    "select": ns.SelectSpec,
    "train": ns.TrainSpec,
    "figures": ns.FigureSpec,
    "refine": RefineSpec,
}
ROOMS = {  # room of the package to the heading of its public names
    "pipeline": "Searches",
    "study": "Declarations",
    "data": "Data",
    "architectures": "Networks",
    "metrics": "Measures",
    "selection": "Selection",
    "training": "Training",
    "results": "Results",
    "models": "Exported networks",
    "core": "Errors and names",
}


def key_pages() -> Pages:
    """Return one page a table of a study's file."""
    pages: Pages = {}
    links = []
    for name, cls in TABLES.items():
        title = {"study": "Top of the file", "figures": "[[figures]]"}.get(name, f"[{name}]")
        pages[f"reference/study/{name}.md"] = f"# {title}\n\n{without_sections(cls.__doc__)}\n\n{key_sections(cls)}\n"
        links.append(
            f"- [{title.replace('[', chr(92) + '[')}]({name}.md): {without_sections(cls.__doc__).partition(chr(10))[0]}"
        )
    text = (
        "# The study's file\n\nEvery key, its type, its default and its meaning, as the program reads them. "
        "`[search_space]` holds a table [a family](../families/index.md), `[full]` any of these tables again, "
        "for the larger size.\n\n"
    )
    return {"reference/study/index.md": text + "\n".join(links) + "\n", **pages}


def command_pages() -> Pages:
    """Return one page a command, from what ``--help`` prints."""
    context = click.Context(cli, info_name="nas-sens")
    rows, pages = ["| command | |", "|---|---|"], {"reference/commands/index.md": ""}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        own = click.Context(command, info_name=name, parent=context)
        usage = command.get_usage(own).removeprefix("Usage: ")
        help_text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        options = [
            record
            for p in command.params
            if isinstance(p, click.Option) and (record := p.get_help_record(own)) is not None
        ]
        table = "\n".join(f"| `{cell(o)}` | {cell(_as_text(text))} |" for o, text in options)
        table = f"\n\n| option | |\n|---|---|\n{table}" if table else ""
        pages[f"reference/commands/{name}.md"] = (
            f"# nas-sens {name}\n\n```text\n{usage}\n```\n\n{_as_text(help_text)}{table}\n"
        )
        rows.append(f"| [nas-sens {name}]({name}.md) | {cell(_as_text(command.get_short_help_str(200)))} |")
    text = (
        "# Commands\n\nData go to stdout, progress to stderr. Exit codes: 0 done, 2 wrong input, 1 anything else, "
        "130 on Ctrl-C.\n\n"
    )
    pages["reference/commands/index.md"] = text + "\n".join(rows) + "\n"
    return pages


def _as_text(text: str) -> str:
    """Return a text of the terminal as Markdown that shows it as it is."""
    for sign in ("*", "_", "[", "]", "<"):
        text = text.replace(sign, "\\" + sign)
    return text


def python_pages() -> Pages:
    """Return one page a room of the package with its public names, as mkdocstrings reads them."""
    names: dict[str, list[str]] = defaultdict(list)
    for name in ns.__all__:
        value = getattr(ns, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            module = str(value.__module__)
            room = module.split(".")[1] if module.startswith("nas_sens.") else ""
            if room in ROOMS:
                names[room].append(
                    f'::: {module}.{value.__qualname__}\n    options:\n      heading: "nas_sens.{name}"\n'
                )
    pages: Pages = {"reference/python/index.md": ""}
    for room, title in ROOMS.items():
        pages[f"reference/python/{room}.md"] = f"# {title}\n\n" + "\n".join(names[room])
    links = "\n".join(f"- [{title}]({room}.md)" for room, title in ROOMS.items())
    text = "# Python\n\n`import nas_sens as ns`; every public name is one of `ns`. For Optuna studies of your own:\n\n"
    other = "- [nas_sens.optuna](optuna.md)\n"
    pages["reference/python/optuna.md"] = "# nas_sens.optuna\n\n" + _optuna_names()
    pages["reference/python/index.md"] = (
        text.replace(" For Optuna studies of your own:\n\n", "\n\n") + links + "\n" + other
    )
    return pages


def _optuna_names() -> str:
    import nas_sens.optuna as door

    values = [(name, getattr(door, name)) for name in door.__all__]
    return "\n".join(
        f'::: {v.__module__}.{v.__qualname__}\n    options:\n      heading: "nas_sens.optuna.{n}"\n' for n, v in values
    )


__all__ = ["command_pages", "key_pages", "plain", "python_pages"]
