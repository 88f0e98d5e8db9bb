"""The three ways in which programs speak with a model."""

from tests.agents.dialects.chat import Chat
from tests.agents.dialects.messages import Messages
from tests.agents.dialects.responses import Responses

DIALECTS = (Chat, Messages, Responses)
