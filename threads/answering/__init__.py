"""Bots that answer in a thread, in process: what they are told, the model, the tools, and what is told of it.

The loop is our own around requests of pydantic-ai: whatever came of a request or of a call is written into the row
before anything follows from it, so that whoever takes over goes on there.
"""
