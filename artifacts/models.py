"""Files and what they were made from: the rows of artifacts, gathered for Django."""

from artifacts.derivations import Derivation, Input
from artifacts.records import Artifact
from artifacts.repositories import Repository

__all__ = ["Artifact", "Derivation", "Input", "Repository"]
