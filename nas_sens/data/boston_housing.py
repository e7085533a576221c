"""BostonHousing: prices of 506 districts from 13 features, for regression, shipped with mlxtend; no download."""

from __future__ import annotations

from .samples import LoadOptions, Samples, make_samples

_FEATURES = ["CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT"]


def load(options: LoadOptions) -> Samples:
    """Return raw features and the median house price in 1,000 dollars.

    One feature, ``B``, is built from the share of black residents and encodes a discredited assumption: the data are
    here to repeat published experiments (forouzesh2020, section V-E), not to predict prices.
    """
    from mlxtend.data import boston_housing_data

    x, y = boston_housing_data()
    return make_samples(x, y, source="boston_housing", task="regression", feature_names=_FEATURES)
