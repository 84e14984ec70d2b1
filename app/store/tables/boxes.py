"""What is stored about boxes: previews of apps, copies of repositories, and what is to be removed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.copies import Cause
from app.store.tables.base import Base, now_column, one_of


class Preview(Base):
    """A preview address of a job's app, for one session and one start of the app. Its token is made from the
    id when it is needed; only its SHA-256 is stored."""

    __tablename__ = "previews"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"), index=True)
    app_began: Mapped[datetime]
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime]


class Instance(Base):
    """One row: the name by which this service recognises its containers on an engine that others use, too."""

    __tablename__ = "instance"
    __table_args__ = (CheckConstraint("single", name="one_row"),)

    single: Mapped[bool] = mapped_column(primary_key=True, default=True)
    name: Mapped[str]


class Bundle(Base):
    """A git bundle of a job's repository, as the box gave it after the last ticket."""

    __tablename__ = "bundles"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    content: Mapped[bytes]
    created_at: Mapped[datetime] = now_column()


class DataCopy(Base):
    """A copy of the data of a job's app, a tar archive: `pieces` are the digests of its `DataPiece`s in their
    order, `size` its bytes, `entries` how many files, links and folders it has. `commit` is the one that the
    app ran."""

    __tablename__ = "data_copies"
    __table_args__ = (one_of("cause", Cause),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    cause: Mapped[str]
    commit: Mapped[str | None]
    size: Mapped[int]
    entries: Mapped[int]
    pieces: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    created_at: Mapped[datetime] = now_column()


class DataPiece(Base):
    """A part of at least one copy, stored once a job; `digest` is its SHA-256. `used_at` is when a copy last
    stored it, so that a piece of a copy that is being made is not taken for a useless one."""

    __tablename__ = "data_pieces"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    content: Mapped[bytes]
    used_at: Mapped[datetime] = now_column()


class AppMaking(Base):
    """The app's box is being made from what is stored, or whoever made it has died: what is in it is not
    whole."""

    __tablename__ = "app_makings"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


class DataLook(Base):
    """Whether the data of a job's app have to be looked at when its box sleeps. `seen_at`: the box was awake
    then, and its data have not been copied since; null if nothing may have changed. `looked_at`: when a copy
    was last begun."""

    __tablename__ = "data_looks"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seen_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]


class GoingLive(Base):
    """The client's app is being brought from the commit `old` (null: there was none) to `new`. The row is
    there from before the app is held until it is released, so that whoever finds the row can finish or undo
    it. `copied`: a copy of the data lies aside in the box; `copy_id` is the same copy in the database, if it
    was not too large. `recorded_at`: `new` is live, or the change is undone: only the release is left.
    Without a run a copy of the data is being put back for the client, by whoever has locked the job."""

    __tablename__ = "going_live"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    old: Mapped[str | None]
    new: Mapped[str]
    copied: Mapped[bool] = mapped_column(server_default=text("false"))
    copy_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("data_copies.id", ondelete="SET NULL"), index=True
    )
    recorded_at: Mapped[datetime | None]


class Removal(Base):
    """A deleted job whose box may still exist. Its removal is tried until the box is gone."""

    __tablename__ = "removals"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    not_before: Mapped[datetime] = now_column()
