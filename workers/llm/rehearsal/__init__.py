"""The rehearsal cast: a scripted model that reads the client's words by simple rules and builds one kind of app."""
