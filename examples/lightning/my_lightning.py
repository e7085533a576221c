"""A PyTorch Lightning module and Trainer behind a search: ``nas-sens search study.toml`` in this folder.

Needs ``pip install "nas-sens[examples]"``. The module, its loss, its figures and its Trainer are as they are without
nas_sens, whose part is :func:`data`, :class:`Report` and :func:`fit`. A training that was killed goes on from
Lightning's own checkpoint, to the figures of one that was not.
"""

import logging

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import nas_sens as ns

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # no word on devices before every training


def cnn(input_shape, n_outputs, *, depth: int, width: int, kernel: int = 3, dropout: float = 0.0) -> nn.Module:
    """A network of convolutions; the keywords are what the study searches."""
    layers, channels = [], input_shape[0]
    for _ in range(depth):
        layers += [nn.Conv2d(channels, width, kernel, padding="same"), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.LazyLinear(n_outputs))


def data():
    """1,797 handwritten digits of 8 × 8 pixels, which scikit-learn ships."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(labels)
    train, rest = train_test_split(range(len(x)), train_size=1000, random_state=0, stratify=y)
    return ns.Data(train=(x[train], y[train]), test=(x[rest], y[rest]), n_outputs=10)


class Classifier(L.LightningModule):
    """Any network, with a loss that smooths labels and the mean recall of the classes as figure."""

    def __init__(self, network, learning_rate=3e-3):
        super().__init__()
        self.network, self.learning_rate = network, learning_rate

    def training_step(self, batch, _):
        x, y = batch
        return F.cross_entropy(self.network(x), y, label_smoothing=0.05)

    def _figures(self, batch, prefix):  # of a whole set, which is one batch
        x, y = batch
        logits = self.network(x)
        is_right = (logits.argmax(1) == y).float()
        recall = torch.stack([is_right[y == label].mean() for label in y.unique()]).mean()
        self.log_dict({f"{prefix}_loss": F.cross_entropy(logits, y), f"{prefix}_recall": recall})

    def validation_step(self, batch, _):
        self._figures(batch, "val")

    def test_step(self, batch, _):
        self._figures(batch, "test")

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), self.learning_rate)


class Report(Callback):
    """Reports each validation, and keeps in Lightning's checkpoints what was reported before."""

    def __init__(self, job):
        self.job = job

    def on_validation_epoch_end(self, trainer, module):
        self.job.report(**{k: v for k, v in trainer.callback_metrics.items() if k.startswith("val_")})

    def state_dict(self):
        return {"rows": self.job.rows}

    def load_state_dict(self, state):
        self.job.rows = state["rows"]
        self.job.log(f"goes on after epoch {len(state['rows'])}")


class Reseed(Callback):
    """Makes dropout depend on the seed and the epoch alone: Lightning keeps no random states in its checkpoints."""

    def __init__(self, seed):
        self.seed = seed

    def on_train_epoch_start(self, trainer, module):
        L.seed_everything(self.seed ^ trainer.current_epoch, verbose=False)


def trained(classifier, data, epochs, seed, device, folder, callback):
    """Train a network, and return Lightning's figures of the test set; goes on from a checkpoint in the folder."""
    sets = [(data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)]
    train, val, test = (TensorDataset(*tensors) for tensors in sets)
    order = DistributedSampler(train, num_replicas=1, rank=0, seed=seed)  # of an epoch, the same after a kill
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=1 if device.index is None else [device.index],
        default_root_dir=folder,
        callbacks=[callback, Reseed(seed), ModelCheckpoint(folder, filename="last", enable_version_counter=False)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    last = folder / "last.ckpt"
    loaders = DataLoader(train, batch_size=64, sampler=order), DataLoader(val, batch_size=len(val))
    trainer.fit(classifier, *loaders, ckpt_path=last if last.exists() else None)
    return trainer.test(classifier, DataLoader(test, batch_size=len(test)), verbose=False)[0]


def fit(model: nn.Module, job: ns.Job) -> dict[str, float]:
    test = trained(Classifier(model), job.data, job.n_epochs, job.seed, job.device, job.folder, Report(job))
    return {**job.rows[-1], **test}
