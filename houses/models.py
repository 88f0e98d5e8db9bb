"""Who, where and what may: the rows of houses, gathered for Django."""

from houses.agents import Agent
from houses.bindings import BoundAgent, BoundResource, SecretBinding
from houses.bots import Bot
from houses.budgets import Budget
from houses.credentials import SignInLink, Token
from houses.deliveries import SecretDelivery
from houses.grants import Grant
from houses.idempotency import KeptAnswer
from houses.invitations import Invitation
from houses.memories import Memory
from houses.mutations import Mutation
from houses.places import House, Member
from houses.policies import ActivationPolicy, PolicyResource
from houses.resources import Resource
from houses.secrets import Secret
from houses.tools import Tool

__all__ = [
    "ActivationPolicy",
    "Agent",
    "Bot",
    "BoundAgent",
    "BoundResource",
    "Budget",
    "Grant",
    "House",
    "Invitation",
    "KeptAnswer",
    "Member",
    "Memory",
    "Mutation",
    "PolicyResource",
    "Resource",
    "Secret",
    "SecretBinding",
    "SecretDelivery",
    "SignInLink",
    "Token",
    "Tool",
]
