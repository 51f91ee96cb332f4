"""Finding what doesn't belong: detectors fitted on normal embeddings score others; higher is stranger."""

from ssl_audio.anomaly.detectors import KNN, Mahalanobis, one_class

__all__ = ["KNN", "Mahalanobis", "one_class"]
