"""Variational autoencoders, small enough to hold in the head: what the lessons write by hand, kept for reuse."""

__version__ = "0.1.0"
