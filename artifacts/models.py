"""Files and what they were made from: the rows of artifacts, gathered for Django."""

from artifacts.derivations import Derivation, Input
from artifacts.repositories import Repository

__all__ = ["Derivation", "Input", "Repository"]
