"""Classical learning as estimators: scikit-learn's contract outside, torch inside, on any device.

>>> from chainrule.estimators import SVC
>>> SVC(C=10.0).fit([[0.0], [1.0], [3.0], [4.0]], [0, 0, 1, 1]).predict([[0.5], [3.5]]).tolist()
[0, 1]
"""

from chainrule.estimators.bases import GaussianBasis, PolynomialBasis, SigmoidBasis
from chainrule.estimators.bias_variance import bias_variance
from chainrule.estimators.dct import DCTReduction
from chainrule.estimators.decomposition import PCA, ZCA, TruncatedSVD
from chainrule.estimators.delta import DeltaRule
from chainrule.estimators.discriminant import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from chainrule.estimators.dissimilarity import DissimilaritySpace
from chainrule.estimators.factor_analysis import FactorAnalysis
from chainrule.estimators.fisher import FisherDiscriminant
from chainrule.estimators.glm import GeneralizedLinearModel
from chainrule.estimators.isomap import Isomap
from chainrule.estimators.kernel_pca import KernelPCA
from chainrule.estimators.kernel_perceptron import KernelPerceptron
from chainrule.estimators.kmeans import KMeans
from chainrule.estimators.kmedoids import KMedoids
from chainrule.estimators.lbp import local_binary_patterns
from chainrule.estimators.linear import LinearRegression, Ridge
from chainrule.estimators.local import LocallyWeightedRegression
from chainrule.estimators.logistic import LogisticRegression
from chainrule.estimators.mds import MDS, ClassicalMDS
from chainrule.estimators.minibatch import MiniBatchKMeans
from chainrule.estimators.mixture import GaussianMixture
from chainrule.estimators.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from chainrule.estimators.neighbors import KNeighborsClassifier, KNeighborsRegressor
from chainrule.estimators.online import LeastMeanSquares
from chainrule.estimators.open_set import OpenSetClassifier
from chainrule.estimators.perceptron import Perceptron
from chainrule.estimators.prototypes import CondensedNeighbors, EditedNeighbors
from chainrule.estimators.regions import grow
from chainrule.estimators.saving import load, save
from chainrule.estimators.separability import linearly_separable
from chainrule.estimators.shards import sharded
from chainrule.estimators.svm import SVC, SVR
from chainrule.estimators.textures import LocalBinaryPatterns
from chainrule.estimators.tsne import TSNE

__all__ = [
    "MDS",
    "PCA",
    "SVC",
    "SVR",
    "TSNE",
    "ZCA",
    "BernoulliNB",
    "ClassicalMDS",
    "CondensedNeighbors",
    "DCTReduction",
    "DeltaRule",
    "DissimilaritySpace",
    "EditedNeighbors",
    "FactorAnalysis",
    "FisherDiscriminant",
    "GaussianBasis",
    "GaussianMixture",
    "GaussianNB",
    "GeneralizedLinearModel",
    "Isomap",
    "KMeans",
    "KMedoids",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "KernelPCA",
    "KernelPerceptron",
    "LeastMeanSquares",
    "LinearDiscriminantAnalysis",
    "LinearRegression",
    "LocalBinaryPatterns",
    "LocallyWeightedRegression",
    "LogisticRegression",
    "MiniBatchKMeans",
    "MultinomialNB",
    "OpenSetClassifier",
    "Perceptron",
    "PolynomialBasis",
    "QuadraticDiscriminantAnalysis",
    "Ridge",
    "SigmoidBasis",
    "TruncatedSVD",
    "bias_variance",
    "grow",
    "linearly_separable",
    "load",
    "local_binary_patterns",
    "save",
    "sharded",
]
