"""The agents: roles, prompts, the shapes of their answers, and how they are asked."""
