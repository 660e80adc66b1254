"""Retention: conversations that nobody touched for some days go to the trash."""
