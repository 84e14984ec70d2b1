"""Who speaks in a job, and how long Client Relations may go on asking."""

from enum import StrEnum


class Agent(StrEnum):
    """The company, under the names clients see."""

    CLIENT_RELATIONS = "Client Relations"
    BUSINESS_ANALYST = "Business Analyst"
    CEO = "CEO"
    CTO = "CTO"
    SECRETARY = "Secretary"
    PROJECT_MANAGER = "Project Manager"
    BUILDER = "Builder"


MAX_ROUNDS = 6
"""Questions Client Relations may ask before it must sum up with what it has."""

STAGE_REQUIREMENTS = "requirements"
"""`metadata.stage` of all chat while a job is `collecting`."""
