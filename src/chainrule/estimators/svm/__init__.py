"""Support vector machines: classification and regression, with any kernel, on any device."""

from chainrule.estimators.svm.classifier import SVC
from chainrule.estimators.svm.regressor import SVR

__all__ = ["SVC", "SVR"]
