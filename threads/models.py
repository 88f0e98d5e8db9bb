"""The rows of threads, gathered for Django."""

from threads.commands import Command
from threads.makes import Make
from threads.thread import Thread

__all__ = ["Command", "Make", "Thread"]
