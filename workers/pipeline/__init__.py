"""The stages of a build, each a function from facts to an outcome; read `plan` first."""
