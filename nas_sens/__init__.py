"""Neural architecture search by pre-training output sensitivity."""

from . import threads as _threads

_threads.prefer_sleeping()  # before PyTorch is imported

from . import timm_hook as _timm_hook
from .architectures import ArchitectureSpec, load_spec
from .architectures.alexnet import AlexNetSpec
from .architectures.cnn import CNNSpec
from .architectures.fc import FCSpec
from .architectures.resnet import ResNetSpec
from .architectures.timm import TimmSpec
from .architectures.vgg import VGGSpec
from .data import DataSpec, Splits, load_data
from .errors import InfeasibleArchitectureError, InvalidInputError, NasSensError, StorageError
from .initialization import INIT_SCHEMES, initialize_
from .measure import Measurement, measure
from .metrics.closed_form import NoClosedFormError, closed_form_sensitivity
from .metrics.output_sensitivity import output_sensitivity
from .metrics.predicted_loss import predicted_loss
from .pipeline import search
from .probe import ScoreSpec
from .results import SearchResult, export_model, load_architecture, load_model
from .selection import Candidate, Pick, SelectSpec, select
from .space import SearchSpace, load_space
from .study import SearchSpec, StudySpec, load_study
from .training import Outcome, TrainSpec, train

_timm_hook.install()

__version__ = "0.1.0"

__all__ = [
    "INIT_SCHEMES",
    "AlexNetSpec",
    "ArchitectureSpec",
    "CNNSpec",
    "Candidate",
    "DataSpec",
    "FCSpec",
    "InfeasibleArchitectureError",
    "InvalidInputError",
    "Measurement",
    "NasSensError",
    "NoClosedFormError",
    "Outcome",
    "Pick",
    "ResNetSpec",
    "ScoreSpec",
    "SearchResult",
    "SearchSpace",
    "SearchSpec",
    "SelectSpec",
    "Splits",
    "StorageError",
    "StudySpec",
    "TimmSpec",
    "TrainSpec",
    "VGGSpec",
    "closed_form_sensitivity",
    "export_model",
    "initialize_",
    "load_architecture",
    "load_data",
    "load_model",
    "load_space",
    "load_spec",
    "load_study",
    "measure",
    "output_sensitivity",
    "predicted_loss",
    "search",
    "select",
    "train",
]
