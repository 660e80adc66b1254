"""Reading stored messages: by page, place, id, time and branch."""
