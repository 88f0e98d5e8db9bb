"""Machines and their recipes: the rows. The machines themselves are with their providers."""

from sandboxes.environments import Environment
from sandboxes.machines import Sandbox

__all__ = ["Environment", "Sandbox"]
