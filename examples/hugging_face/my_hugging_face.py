"""A transformer of Hugging Face's and its Trainer behind a search: ``nas-sens search study.toml`` in this folder.

Needs ``pip install "nas-sens[examples]"``; nothing is downloaded. What is for nas_sens is :func:`data`,
:class:`Report` and :func:`fit`. A training that was killed goes on from the Trainer's own checkpoint, to the figures of
one that was not.
"""

import random

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

import nas_sens as ns

logging.disable_progress_bar()
logging.set_verbosity_error()

NOUNS, LINKS = ["film", "book", "song", "play", "game", "meal"], ["but", "although"]
GOOD, BAD = ["good", "lovely", "brilliant", "funny"], ["bad", "dull", "awful", "boring"]
WORDS = ["<pad>", "the", "was", "is", "not", "very", "really", *NOUNS, *LINKS, *GOOD, *BAD]
LENGTH = 14


def clause(draw: random.Random) -> tuple[list[str], bool]:
    """Return words such as "the film was not very good", and whether they are praise."""
    is_good, is_negated = draw.random() < 0.5, draw.random() < 0.2
    adverb = draw.choice([[], [], ["very"], ["really"]])
    start = ["the", draw.choice(NOUNS), draw.choice(["was", "is"])]
    return [*start, *["not"] * is_negated, *adverb, draw.choice(GOOD if is_good else BAD)], is_good != is_negated


def sentence(draw: random.Random) -> tuple[list[str], bool]:
    """Return two clauses and what counts: the second one after "but", the first one before "although"."""
    (first, is_first), (second, is_second) = clause(draw), clause(draw)
    link = draw.choice(LINKS)
    return [*first, link, *second], is_second if link == "but" else is_first


def data():
    """1,600 sentences of two clauses, praise or not, as tokens."""
    draw = random.Random(0)
    texts, labels = zip(*(sentence(draw) for _ in range(1600)), strict=True)
    x = torch.tensor([[WORDS.index(w) for w in t] + [0] * (LENGTH - len(t)) for t in texts])
    y = torch.tensor(labels).long()
    return ns.Data(train=(x[:1000], y[:1000]), val=(x[1000:1300], y[1000:1300]), test=(x[1300:], y[1300:]), n_outputs=2)


def bert(input_shape, n_outputs, *, layers: int, heads: int, head_width: int = 8, dropout: float = 0.0) -> nn.Module:
    """A small BERT from a configuration; the keywords are what the study searches."""
    config = BertConfig(
        vocab_size=len(WORDS),
        max_position_embeddings=input_shape[0],
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_size=heads * head_width,
        intermediate_size=2 * heads * head_width,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=n_outputs,
        initializer_range=(heads * head_width) ** -0.5,  # 0.02 is for widths of 768
    )
    return BertForSequenceClassification(config)


class Report(TrainerCallback):
    """Reports each evaluation; what was reported before a kill is in the Trainer's own history."""

    def __init__(self, job):
        self.job = job

    def on_train_begin(self, args, state, control, **kwargs):
        self.job.rows = [figures(entry) for entry in state.log_history if "eval_loss" in entry]
        self.job.log(f"goes on after epoch {len(self.job.rows)}")

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        self.job.report(**figures(metrics))


def figures(metrics, of="eval", name="val"):
    return {f"{name}_loss": metrics[f"{of}_loss"], f"{name}_accuracy": metrics[f"{of}_accuracy"]}


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def rows_of(x, y):
    return [{"input_ids": a, "labels": b} for a, b in zip(x, y, strict=True)]


def trained(model, data, epochs, seed, device, folder, callback):
    """Train a network, and return its figures of the test set; goes on from a checkpoint in the folder."""
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=epochs,
        per_device_train_batch_size=25,
        per_device_eval_batch_size=300,
        learning_rate=2e-3,
        warmup_steps=40,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,  # the data are on the device already
        use_cpu=device.type == "cpu",
        seed=seed,
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=rows_of(data.x_train, data.y_train),
        eval_dataset=rows_of(data.x_val, data.y_val),
        compute_metrics=accuracy,
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)
    # The file that is written last: a checkpoint without it was cut off by the kill.
    states = sorted(folder.glob("checkpoint-*/trainer_state.json"), key=lambda file: file.stat().st_mtime)
    trainer.train(resume_from_checkpoint=str(states[-1].parent) if states else None)
    return figures(trainer.predict(rows_of(data.x_test, data.y_test)).metrics, of="test", name="test")


def fit(model: nn.Module, job: ns.Job) -> dict[str, float]:
    test = trained(model, job.data, job.n_epochs, job.seed, job.device, job.folder, Report(job))
    return {**job.rows[-1], **test}
