"""Self-supervised representation learning for sound in JAX: pretrain, judge, explore."""

__version__ = "0.1.0"
