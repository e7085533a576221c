"""The model card of an exported network: what it is, where it comes from, how well it does, how to load it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..core.candidates import describe
from ..core.figures import HEADLINES, sd_name
from ..core.text import markdown_code, markdown_text

_MOST_CLASSES = 200
_PER_INPUT = {
    "unit_norm": ", which the network divides by the Euclidean norm of the whole input",
    "unit_variance": ", which the network brings to zero mean and unit variance over the whole input",
}

# Run with the exported folder as the working directory; tests run them as they stand.
SNIPPETS: Mapping[str, str] = {
    "With nas_sens": """\
import nas_sens

model = nas_sens.load_model(".")  # in evaluation mode
""",
    "With timm (nas_sens only has to be imported)": """\
import nas_sens
import timm

model = timm.create_model("local-dir:.", pretrained=True).eval()
""",
    "With PyTorch alone": """\
import torch

model = torch.export.load("model.pt2").module()  # any batch size
""",
}


def render_card(
    config: Mapping[str, Any],
    *,
    licence: str = "unknown",
    from_pixels: bool = False,
    int8: Mapping[str, float] | None = None,
) -> str:
    """Return the model card in Markdown, with the front matter that model hubs read.

    Args:
        config: Contents of ``config.json``.
        licence: Identifier of the licence of these weights; the data set's terms may bind it.
        from_pixels: Whether there are programs that take pictures as decoders give them.
        int8: Errors of the network and of the one in 8 bits, if there is one (`nas_sens.models.int8`).
    """
    arguments, preparation = config["model_args"], config["pretrained_cfg"]
    found = config["nas_sens"]
    study, figures = found.get("study", {}), found.get("figures", {})
    data = study.get("data", {})
    by_itself = next((text for key, text in _PER_INPUT.items() if arguments.get(key)), "")
    architecture = json.dumps(arguments["architecture"], sort_keys=True)
    lines = [
        "---",
        f"license: {_yaml(licence)}",
        "library_name: nas_sens",
        "tags: [neural-architecture-search, output-sensitivity]",
        "---",
        "",
        f"# {markdown_text(describe(architecture, figures.get('training')))}",
        "",
        _origin(str(found.get("version", "")), study.get("name"), str(data.get("name", ""))),
        *_refined(study.get("refine"), figures.get("digest")),
        "",
        "## Inputs and outputs",
        "",
        f"- Input: {_inputs(arguments['input_shape'], preparation)}{by_itself}.",
        *_pictures(preparation, from_pixels=from_pixels),
        f"- Output: {arguments['num_classes']} values (logits in classification).",
        *_classes(preparation.get("label_names", [])),
        "",
        *_figures(figures),
        *_chosen(figures),
        *_in_8_bits(int8 or {}),
        "## Loading",
        "",
        "With this folder as the working directory (or with its path in place of the dot):",
        "",
    ]
    for title, code in SNIPPETS.items():
        lines += [f"{title}:", "", "```python", code.rstrip("\n"), "```", ""]
    lines += [
        "## Architecture and protocol",
        "",
        "```json",
        json.dumps({"architecture": arguments["architecture"], "study": study}, indent=1, sort_keys=True),
        "```",
        "",
    ]
    return "\n".join(lines)


def _figures(figures: Mapping[str, Any]) -> list[str]:
    """Return the table of what the trainings came to."""
    sds = {sd_name(name): value for name, value in figures.get("figure_sds", {}).items()}
    own = {**figures.get("figures", {}), **sds}  # of a trainer of the user's own, and measured latency
    n_seeds = figures.get("n_seeds", "?")
    means = f"Means over {n_seeds} trainings, ± the standard deviation between them. The weights are those of the best."
    return [
        "## Figures",
        "",
        "Of one training." if n_seeds == 1 else means,
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {markdown_text(name)} | {_with_sd(own, name)} |" for name in figures.get("figures", {})),
        *(f"| {f.label} | {_with_sd(figures, f.name)} |" for f in HEADLINES if f.name in figures),
        f"| parameters | {figures.get('params', '?')} |",
        f"| FLOPs of one input | {figures.get('flops', '?')} |",
        "",
    ]


def _origin(version: str, study: str | None, data: str) -> str:
    by, on = f"by nas_sens {markdown_text(version)}", f"trained on {markdown_code(data)}"
    return f"T{on[1:]} {by}." if study is None else f"Found {by} in the study {markdown_code(study)} and {on}."


def _refined(refine: Mapping[str, Any] | None, digest: str | None) -> list[str]:
    """Return of which network of which earlier study this one is the refinement."""
    found = [f for f in (refine or {}).get("finalists", ()) if f["digest"] == digest]
    if refine is None or not found:
        return []
    start = "from its weights" if refine["start"] == "weights" else "from random weights"
    was = f"whose {markdown_text(refine['figure'])} was {_number(found[0]['value'])} there"
    return [f"It refines rank {found[0]['rank']} of the study {markdown_code(refine['study'])}, {was}, {start}."]


def _chosen(figures: Mapping[str, Any]) -> list[str]:
    if "chosen_by" not in figures:
        return []
    reason = markdown_text(str(figures.get("reason", "")))
    return [
        f"Chosen by: {markdown_text(str(figures['chosen_by']))} ({reason}). The test figures decided nothing.",
        "",
    ]


def _in_8_bits(errors: Mapping[str, float]) -> list[str]:
    if not errors:
        return []
    rows = [
        f"| {label} error | {errors[f'{part}_error']:.4g} | {errors[f'{part}_error_int8']:.4g} |"
        for part, label in (("val", "validation"), ("test", "test"))
    ]
    return ["| in ONNX Runtime | `model.onnx` | `model_int8.onnx` |", "|---|---|---|", *rows, ""]


def _yaml(text: str) -> str:
    """Return a YAML scalar: plain where that can be nothing else than a text, such as cc-by-4.0, else in quotes."""
    if re.fullmatch(r"[a-z][a-z0-9]*([.-][a-z0-9]+)+|unknown|mit|other", text):
        return text
    escaped = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(escaped)}"'


def _inputs(shape: Any, preparation: Mapping[str, Any]) -> str:
    """Return what goes into the network, in words."""
    if isinstance(shape, list):
        return (
            f"float32 of shape (batch, {', '.join(map(str, shape))}), as the data set gives it (images in [0, 1]), "
            f"minus {_short(preparation['mean'])}, divided by {_short(preparation['std'])}, per channel or feature"
        )
    if "keywords" in shape:
        return " and ".join(f"`{name}`, {_tensor(one)}" for name, one in shape["keywords"].items())
    return " and ".join(_tensor(one) for one in shape.get("positions", [shape]))


def _pictures(preparation: Mapping[str, Any], *, from_pixels: bool) -> list[str]:
    """Return how files become inputs, and what does it; nothing where they are no pictures."""
    size = preparation.get("input_size")
    if "crop_mode" not in preparation or not isinstance(size, list):
        return []
    mode = "L" if size[0] == 1 else "RGB"
    lines = [
        f'- Pictures: turned upright as their EXIF says, converted to Pillow\'s mode "{mode}", resized to {size[2]} '
        f"pixels across and {size[1]} down by the {preparation['interpolation']} filter without regard to their aspect "
        f"(timm's `crop_mode` {preparation['crop_mode']}), divided by 255, then as above. This does it:",
        "  `timm.data.create_transform(**timm.data.resolve_model_data_config(model))"
        f'(PIL.ImageOps.exif_transpose(picture).convert("{mode}"))`, and so does `nas-sens predict`.',
    ]
    if from_pixels:
        lines.append(
            f"- `model_from_pixels.*` do it themselves: they take uint8 of shape (batch, height, width, {size[0]}), "
            "any height and width, the same for all pictures of a batch, upright and of that mode."
        )
    return lines


def _classes(names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(markdown_text(name) for name in names[:_MOST_CLASSES])
    more = f", … ({len(names)} in all, in `config.json`)" if len(names) > _MOST_CLASSES else ""
    return [f"- Classes, in the order of the outputs: {shown}{more}."]


def _tensor(shape: Any) -> str:
    sides, kind = (shape, "float32") if isinstance(shape, list) else (shape["shape"], shape["dtype"])
    return f"{kind} of shape ({', '.join(map(str, ['batch', *sides]))})"


def _with_sd(figures: Mapping[str, Any], key: str) -> str:
    sd = figures.get(sd_name(key))
    return _number(figures[key]) + ("" if sd is None else f" ± {_number(sd)}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _short(values: list[float]) -> str:
    rounded = [float(f"{v:.4g}") for v in values]
    return str(rounded[0]) if len(set(rounded)) == 1 else str(rounded)
