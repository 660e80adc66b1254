"""Agents: the model, prompt and limits with which a conversation is answered."""
