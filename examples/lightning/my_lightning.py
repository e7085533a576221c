"""A PyTorch Lightning module and Trainer behind a search: ``nas-sens search study.toml`` in this folder.

Needs ``pip install "nas-sens[examples]"``. The network, the module, its loss and its figures are Lightning's as they
are without nas_sens; what is nas_sens's is :func:`data`, and ``job`` in :class:`Report` and :func:`fit`. A training that
was killed goes on from Lightning's own checkpoint, to the figures of one that was not.
"""

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import nas_sens as ns


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

    def on_train_epoch_start(self, trainer, module):
        L.seed_everything(self.job.seed % 2**32 ^ trainer.current_epoch, verbose=False)  # dropout, after a kill as well

    def on_validation_epoch_end(self, trainer, module):
        self.job.report(**{k: v for k, v in trainer.callback_metrics.items() if k.startswith("val_")})

    def state_dict(self):
        return {"rows": self.job.rows}

    def load_state_dict(self, state):
        self.job.rows = state["rows"]


def fit(model: nn.Module, job: ns.Job) -> dict[str, float]:
    """Train a network with Lightning's Trainer, and return its figures."""
    train = TensorDataset(job.data.x_train, job.data.y_train)
    # The order of an epoch depends on the seed and the epoch alone, so that it is the same after a kill.
    order = DistributedSampler(train, num_replicas=1, rank=0, seed=job.seed % 2**32)
    val, test = TensorDataset(job.data.x_val, job.data.y_val), TensorDataset(job.data.x_test, job.data.y_test)
    trainer = L.Trainer(
        max_epochs=job.n_epochs,
        accelerator={"cuda": "gpu"}.get(job.device.type, job.device.type),
        devices=1 if job.device.index is None else [job.device.index],
        default_root_dir=job.folder,
        callbacks=[Report(job), ModelCheckpoint(job.folder, filename="last", enable_version_counter=False)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    classifier, last = Classifier(model), job.folder / "last.ckpt"
    if last.exists():
        job.log("goes on from Lightning's checkpoint")
    trainer.fit(
        classifier,
        DataLoader(train, batch_size=64, sampler=order),
        DataLoader(val, batch_size=len(val)),
        ckpt_path=last if last.exists() else None,
    )
    figures = {**job.rows[-1], **trainer.test(classifier, DataLoader(test, batch_size=len(test)), verbose=False)[0]}
    return figures
