"""A scripted cast in a model's place: reads the client's words by simple rules, builds one kind of app."""
