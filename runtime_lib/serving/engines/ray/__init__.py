"""The Ray engine: Ray places, heals and scales the workers, and no request passes through it."""

from runtime_lib.serving.engines.ray.replicas import Replicas

__all__ = ["Replicas"]
