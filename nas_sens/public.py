"""Every public name, imported from where it is defined; ``nas_sens`` itself hands them out when one is asked for."""

from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

from .architectures import ArchitectureSpec, load_spec
from .architectures.alexnet import AlexNetSpec
from .architectures.cnn import CNNSpec
from .architectures.convnext import ConvNeXtSpec
from .architectures.fc import FCSpec
from .architectures.initialization import initialize_
from .architectures.mbconv import MBConvSpec
from .architectures.resnet import ResNetSpec
from .architectures.timm import TimmSpec
from .architectures.vgg import VGGSpec
from .architectures.vit import ViTSpec
from .core.errors import InfeasibleArchitectureError, InvalidInputError, NasSensError, StorageError
from .core.init_schemes import INIT_SCHEMES
from .data import Data, DataSpec, Splits, load_data
from .metrics import Metric
from .metrics.bias_variance import bias_variance
from .metrics.closed_form.expectation import NoClosedFormError, closed_form_sensitivity
from .metrics.critical_length import critical_length
from .metrics.jacobian_bounds import jacobian_against_loss
from .metrics.jacobian_norm import jacobian_norm, jacobian_norms, mean_squared_jacobian_norm
from .metrics.linear_regions import linear_regions, transitions
from .metrics.measurement import Measurement, measure
from .metrics.normalized_loss import normalized_loss
from .metrics.output_sensitivity import output_sensitivity
from .metrics.predicted_loss import predicted_loss
from .metrics.region_boundaries import region_boundaries
from .metrics.sensitivity_profile import sensitivity_by_class, sensitivity_by_sample, sensitivity_sweep
from .metrics.stiffness import class_stiffness, gradient_cosines, stiffness
from .metrics.temperature import temperature
from .models.of_outcome import export
from .models.resolve import resolve_model
from .models.trained import export_model, load_architecture, load_model
from .pipeline.open_search import Asked, OpenSearch, open_search
from .pipeline.refining import refine
from .pipeline.search import search
from .results.search_result import SearchResult
from .selection import Candidate, Pick, select
from .study.figure_spec import FigureSpec
from .study.lists import ListOf
from .study.load import load_study
from .study.own_family import family
from .study.own_trainer import dataset, trainer
from .study.register import register
from .study.score_spec import ScoreSpec
from .study.search_space import SearchSpace, load_space
from .study.select_spec import SelectSpec
from .study.study_spec import SearchSpec, StudySpec
from .study.train_spec import TrainSpec
from .training import Outcome, train
from .training.job import Job

__all__ = [
    "INIT_SCHEMES",
    "AlexNetSpec",
    "ArchitectureSpec",
    "Asked",
    "CNNSpec",
    "Candidate",
    "Choice",
    "ConvNeXtSpec",
    "Data",
    "DataSpec",
    "FCSpec",
    "FigureSpec",
    "Float",
    "InfeasibleArchitectureError",
    "Int",
    "InvalidInputError",
    "Job",
    "ListOf",
    "MBConvSpec",
    "Measurement",
    "Metric",
    "NasSensError",
    "NoClosedFormError",
    "OpenSearch",
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
    "ViTSpec",
    "bias_variance",
    "class_stiffness",
    "closed_form_sensitivity",
    "critical_length",
    "dataset",
    "export",
    "export_model",
    "family",
    "gradient_cosines",
    "initialize_",
    "jacobian_against_loss",
    "jacobian_norm",
    "jacobian_norms",
    "linear_regions",
    "load_architecture",
    "load_data",
    "load_model",
    "load_space",
    "load_spec",
    "load_study",
    "mean_squared_jacobian_norm",
    "measure",
    "normalized_loss",
    "open_search",
    "output_sensitivity",
    "predicted_loss",
    "refine",
    "region_boundaries",
    "register",
    "resolve_model",
    "search",
    "select",
    "sensitivity_by_class",
    "sensitivity_by_sample",
    "sensitivity_sweep",
    "stiffness",
    "temperature",
    "train",
    "trainer",
    "transitions",
]
