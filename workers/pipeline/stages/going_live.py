"""The last stage: the client's app is brought to the verified commit, with its data. If that does not work,
it is as it was before."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from app import metrics
from app.actions import changes
from app.actions.workspaces import manifest_of
from app.domain.conversation import Agent
from app.domain.job import FailureCode
from app.domain.stages import RunState
from app.runtime.live_app import Switched
from app.runtime.workspace import RuntimeProblem
from app.runtime.worlds import World
from app.store import boxes, runs
from workers.context import Change, Context
from workers.pipeline import spec as specs
from workers.pipeline.box import attached, begun
from workers.pipeline.live.bringing import NotLive, bring
from workers.pipeline.outcome import Outcome, StageFailed
from workers.pipeline.proof.verdict import verdict_of
from workers.pipeline.repair import reviewing
from workers.pipeline.spec import Spec

AS_BEFORE = "Your app is as it was before, with its data."

IN_THE_BOX = "lies in the app's box until the next one is made, as your app's data are too large to store"


async def going_live(context: Context) -> Outcome:
    verdict = await verdict_of(context)
    more = farewell(context.job_id, await specs.load(context), await reviewing.wishes(context))

    async def record(change: Change, done: Switched) -> None:
        stage = change.stage
        going = await boxes.going_live(change.session, change.job.id)
        copy_id = None if going is None else going.copy_id
        changes.add_message(
            change.unit,
            change.job,
            "agent",
            Agent.CLIENT_RELATIONS,
            verdict.message + _told(done, copy_id) + more,
            {
                "stage": stage.shown_as,
                "verification": verdict.verification,
                "commit": head.sha,
                **({} if copy_id is None else {"dataCopy": str(copy_id)}),
            },
        )
        changes.finish(change.unit, change.job, verdict.verification, stage.ends_with)
        change.job.head = None
        runs.end(change.job, change.run, RunState.DONE)

    async with attached(context) as bench:
        head = await begun(bench)
        await bench.restore(head.tree)
        manifest = await manifest_of(bench)
        assert manifest is not None, "it was verified"
        try:
            await bring(context, bench, head, manifest, record)
        except NotLive as problem:
            raise StageFailed(
                FailureCode.CHECKS_FAILED, f"{problem} {AS_BEFORE} {problem.advice}"
            ) from problem
    metrics.runs_ended.labels(verdict.verification).inc()
    for world in (World.BENCH, World.TRIAL):
        with suppress(RuntimeProblem):  # what is left is emptied or discarded by the next run
            await context.resources.runtime.discard(context.job_id, world)
    return Outcome.OVER


def farewell(job_id: UUID, spec: Spec, wishes: Sequence[str]) -> str:
    """What a client needs to know when the app is done: how to open it, what was assumed, what was left
    open, and what to ask for next."""
    lines = [
        "",
        f"To open it: `POST /api/jobs/{job_id}/preview/` answers with its address; on the machine where "
        f"Boardroom runs, `boardroom open {job_id}` opens it.",
    ]
    if spec.assumptions:
        lines += ["", "Assumed, as nobody said otherwise:", *(f"- {item}" for item in spec.assumptions)]
    if spec.prd and spec.prd.open_questions:
        assumed = {item.question: f" Until you say otherwise: {item.assumed}" for item in spec.prd.questions}
        lines += ["", "Open questions:"]
        lines += [f"- {question}{assumed.get(question, '')}" for question in spec.prd.open_questions]
    lines += ["", "To change or add something, continue the job and say what you want."]
    if wishes:
        lines += ["You could ask for:", *(f"- {wish}" for wish in wishes)]
    return "".join(f"\n{line}" for line in lines)


def _told(done: Switched, copy_id: UUID | None) -> str:
    """What the client has to know about files that both the app and the new version have changed, and where
    a copy of them is."""
    lines = []
    if done.kept:
        lines += [
            "",
            "Your app has files of its own where the new version brings some, too. Yours were kept:",
        ]
        lines += [f"- {path}" for path in done.kept]
    if done.replaced:
        lines += ["", "Your app had changed these files; they are those of the new version now:"]
        lines += [f"- {path}" for path in done.replaced]
        kept = f"is kept among those of your app's data: {copy_id}" if copy_id else IN_THE_BOX
        lines += ["", f"A copy of before {kept}."]
    return "".join(f"\n{line}" for line in lines)
