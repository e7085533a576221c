"""Diabetes: progression of the disease in 442 patients from 10 features, for regression, shipped with scikit-learn."""

from __future__ import annotations

from .samples import LoadOptions, Samples, make_samples


def load(options: LoadOptions) -> Samples:
    """Return raw features (scikit-learn's default is scaled ones) and the score of disease progression after a year."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    return make_samples(
        bunch.data, bunch.target, source="diabetes", task="regression", feature_names=bunch.feature_names
    )
