"""Who is signed in: session documents in MongoDB behind one cookie."""
