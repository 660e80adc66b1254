"""MCP tools: proposed by a model, approved by a person, run at most once."""
