from nas_sens.optuna import SensitivitySampler

__all__ = ["SensitivitySampler"]
