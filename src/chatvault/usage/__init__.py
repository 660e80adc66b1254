"""What replies cost, in tokens, by user and day; and the statistics made of it."""
