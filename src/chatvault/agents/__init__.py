"""Agents: with which model, prompt and limits a conversation is answered."""
