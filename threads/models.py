"""The rows of threads, gathered for Django."""

from threads.answers import Answer
from threads.commands import Command
from threads.inbox import InboxEntry
from threads.makes import Make
from threads.spending import Spending
from threads.thread import Thread
from threads.waiting import WaitingMessage

__all__ = ["Answer", "Command", "InboxEntry", "Make", "Spending", "Thread", "WaitingMessage"]
