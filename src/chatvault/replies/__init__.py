"""An agent's answers; until agents exist, the plain word that there are none."""
