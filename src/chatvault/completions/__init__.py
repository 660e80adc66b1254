"""The doors that speak OpenAI's protocol."""
