"""What each metric says, in one sentence; read by the documentation, the report and ``explain``.

The names are those of torchmetrics, with hyphens and, unless it makes a difference, without the task in front:
``MulticlassF1Score`` is ``f1-score``. A metric that can be averaged in several ways is described as it is for all
samples together (``average="micro"``), if not said otherwise.
"""

MEANINGS = {
    # classes and labels
    "accuracy": "Share of the samples whose most probable class is the true one.",
    "multilabel-accuracy": "Share of all single yes-or-no answers that are right.",
    "auroc": "How well a class is ranked before the others; 0.5 is guessing, 1 is perfect.",
    "average-precision": "Mean precision over all thresholds, weighed by the gain in recall.",
    "calibration-error": "Mean distance between how sure the model was and how often it was right, over bins of "
    "confidence.",
    "cohen-kappa": "Agreement with the truth beyond what chance gives; 0 is chance, 1 is perfect.",
    "confusion-matrix": "How many samples of each true class (row) were given each class (column).",
    "coverage-error": "How far down the ranking one must go, on average, to have all labels that apply.",
    "eer": "Error rate at the threshold where as many positives are missed as negatives are taken.",
    "exact-match": "Share of the samples for which every label is right.",
    "f1-score": "Harmonic mean of precision and recall; as macro average every class counts the same, however rare.",
    "f-beta-score": "Harmonic mean of precision and recall in which recall counts beta times as much.",
    "hamming-distance": "Share of all single answers that are wrong: labels or classes.",
    "hinge-loss": "Mean amount by which the true class fails to beat the others by a margin of 1.",
    "jaccard-index": "What is shared by prediction and truth over what is in either of them: intersection over union.",
    "matthews-corr-coef": "Correlation of prediction and truth from all cells of the confusion matrix, from -1 to 1.",
    "negative-predictive-value": "Of the samples that were given the negative class, the share that belongs to it.",
    "precision": "Of the samples that were given a class, the share that belongs to it.",
    "precision-recall-curve": "Precision against recall for every threshold.",
    "ranking-average-precision": "Share of applying labels among those ranked as high as each applying one.",
    "ranking-loss": "Share of pairs of an applying and another label that are ranked the wrong way round.",
    "recall": "Of the samples that belong to a class, the share that was found.",
    "roc": "Rate of true positives against rate of false positives for every threshold.",
    "specificity": "Of the samples that do not belong to a class, the share that was not given it.",
    "stat-scores": "Numbers of true positives, false positives, true negatives and false negatives, and the support.",
    # real values
    "cosine-similarity": "Cosine of the angle between prediction and truth; 1 is the same direction.",
    "explained-variance": "Share of the target's variance that is explained, without counting a constant error.",
    "kl-divergence": "Extra nats that it costs to describe the true distribution by the predicted one.",
    "mean-absolute-error": "Mean size of the error, in the target's own units.",
    "mean-absolute-percentage-error": "Mean size of the error relative to the true value.",
    "mean-squared-error": "Mean of the squared error; large errors weigh more, and its root is in the target's units.",
    "pearson-corr-coef": "How nearly prediction and truth lie on one rising line, from -1 to 1.",
    "r2-score": "Share of the target's variance that is explained; 0 is guessing the mean, 1 is perfect.",
    "spearman-corr-coef": "How nearly prediction and truth have the same order, from -1 to 1.",
    # images and regions
    "dice-score": "Twice what is shared by prediction and truth over the sum of both.",
    "generalized-dice-score": "Dice score over all classes at once, each weighed against its size.",
    "hausdorff-distance": "Farthest that a point of one outline lies from the other outline.",
    "mean-io-u": "Mean over the classes of intersection over union of predicted and true regions.",
    "peak-signal-noise-ratio": "Ratio of the largest possible value to the error, in decibels; more is better.",
    "structural-similarity-index-measure": "Likeness of two images in brightness, contrast and structure; 1 is equal.",
    "total-variation": "Sum of the differences of neighbouring pixels; noise makes it large.",
    # text
    "bleu-score": "Share of word sequences that a translation has in common with its references, less if it is short.",
    "perplexity": "Number of equally likely words among which the model seems to choose; less is better.",
    "word-error-rate": "Words to insert, delete or replace to get the reference, over the reference's length.",
    # clusters
    "adjusted-rand-score": "Share of pairs on which two clusterings agree, beyond chance; 0 is chance, 1 is equal.",
    "normalized-mutual-info-score": "What one clustering tells about the other, from 0 for nothing to 1 for all.",
}
