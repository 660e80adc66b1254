"""Reading links and copying what they show, for whoever has them."""
