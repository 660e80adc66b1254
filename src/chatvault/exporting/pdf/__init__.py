"""Export conversations as PDF with typst, an optional dependency, in a limited subprocess."""
