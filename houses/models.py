"""Who, where and what may: the rows of houses, gathered for Django."""

from houses.agents import Agent
from houses.credentials import SignInLink, Token
from houses.places import House, Member
from houses.secrets import Secret

__all__ = ["Agent", "House", "Member", "Secret", "SignInLink", "Token"]
