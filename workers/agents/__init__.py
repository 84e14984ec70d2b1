"""Who speaks: roles, their prompts, the shapes of their answers, and how they are asked."""
