"""The agents, and how many questions Client Relations may ask."""

from enum import StrEnum


class Agent(StrEnum):
    """The agents, by the names that clients see."""

    CLIENT_RELATIONS = "Client Relations"
    BUSINESS_ANALYST = "Business Analyst"
    CEO = "CEO"
    CTO = "CTO"
    SECRETARY = "Secretary"
    PROJECT_MANAGER = "Project Manager"
    BUILDER = "Builder"


MAX_ROUNDS = 6
"""After so many replies Client Relations must sum up."""

STAGE_REQUIREMENTS = "requirements"
"""`metadata.stage` of all chat while a job is `collecting`."""
