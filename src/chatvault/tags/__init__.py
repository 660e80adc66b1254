"""The tags of conversations: how often each is used, and changing one in all conversations."""
