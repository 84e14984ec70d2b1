"""The tables and the meaning of their columns, by subject. To import this package declares all of them.

Rows are read as columns and written as ORM instances. Nothing is loaded lazily. Every foreign key has an
index, because without one PostgreSQL reads the whole table for each deleted row that the key refers to.
"""

from app.store.tables.backlog import App, Evidence, Screenshot, Ticket
from app.store.tables.base import Base
from app.store.tables.boxes import (
    AppMaking,
    Bundle,
    DataCopy,
    DataLook,
    DataPiece,
    GoingLive,
    Instance,
    Preview,
    Removal,
)
from app.store.tables.jobs import Job, JobEvent, Message, Step
from app.store.tables.runs import FENCES, Run, RunStep
from app.store.tables.spending import ANSWERED, LOST, OPEN, ModelAttempt, UserDay
from app.store.tables.users import Attempts, IdempotencyKey, RefreshFamily, RefreshToken, User, WsTicket

__all__ = [
    "ANSWERED",
    "FENCES",
    "LOST",
    "OPEN",
    "App",
    "AppMaking",
    "Attempts",
    "Base",
    "Bundle",
    "DataCopy",
    "DataLook",
    "DataPiece",
    "Evidence",
    "GoingLive",
    "IdempotencyKey",
    "Instance",
    "Job",
    "JobEvent",
    "Message",
    "ModelAttempt",
    "Preview",
    "RefreshFamily",
    "RefreshToken",
    "Removal",
    "Run",
    "RunStep",
    "Screenshot",
    "Step",
    "Ticket",
    "User",
    "UserDay",
    "WsTicket",
]
