"""Plays a claimed run, stage after stage, until it waits for the client, ends, or belongs to another worker.

After an unexpected error nothing is written: the lease ends by itself and a worker claims the run again. A
run that was claimed five times without a stored step is ended.
"""

import structlog

from app import metrics
from app.actions import changes
from app.domain.errors import Unavailable
from app.domain.job import FailureCode
from app.domain.stages import CHATTING, MAX_CLAIMS_WITHOUT_PROGRESS, RunState, stage_named
from app.runtime.workspace import RuntimeProblem
from app.store import rows, run_steps, runs
from app.store.runs import Claim
from app.unit import LeaseLost
from workers.agents.ask import Unusable
from workers.context import Context, GaveWay, Paused
from workers.ledger import BudgetSpent
from workers.llm.model import ModelMisbehaved, ModelUnavailable
from workers.pipeline.enter import enter
from workers.pipeline.no_model import away, time_left
from workers.pipeline.outcome import Outcome, StageFailed
from workers.pipeline.plan import PLAN
from workers.pipeline.ticking import ticking
from workers.waiting import Wait, wait

log = structlog.get_logger()


async def play(context: Context, claim: Claim) -> None:
    """Play the run. Afterwards it is over or released, belongs to another worker, or its lease ends by
    itself. Raises nothing."""
    words = log.bind(job=str(context.job_id), run=str(context.run_id), fence=context.fence)
    try:
        async with ticking(context):
            await _play(context, claim, words)
    except LeaseLost:
        words.info("run.lost")
    except Unavailable as error:
        words.warning("run.held_up", error=error.detail)
    # A bug must not end the worker with its other runs.
    except Exception:  # noqa: BLE001
        words.exception("run.fault")
    finally:
        context.turn.leave()


async def _play(context: Context, claim: Claim, words: structlog.stdlib.BoundLogger) -> None:
    """Raises LeaseLost, Unavailable; the lease ends by itself then."""
    if claim.claims > MAX_CLAIMS_WITHOUT_PROGRESS:
        await _fail(
            context,
            FailureCode.INTERNAL,
            "The run stopped its worker several times without getting on. Look at the log, then retry.",
        )
        return
    try:
        while await _stage(context) is Outcome.NEXT:
            context.heed_pause()
            if claim.chats and (await context.run()).stage not in CHATTING:
                raise GaveWay  # its slot is for chats
    except Paused:
        words.info("run.paused")
        await _release(context)
    except GaveWay:
        words.info("run.gave_way")
        await _release(context)
    except Wait as need:
        words.info("run.waits", reason=need.reason)
        await _wait(context, need)
    except StageFailed as failure:
        await _fail(context, failure.code, failure.detail)
    except ModelMisbehaved as error:
        unusable = error.step if isinstance(error, Unusable) else ""
        again = f"{error} Retry, or choose another model."
        await _fail(context, FailureCode.MODEL_MISBEHAVED, again, unusable)
    except BudgetSpent as error:
        await _fail(context, FailureCode.BUDGET, str(error))
    except ModelUnavailable as error:
        words.warning("run.model_away", error=str(error))
        await _no_model(context, error)
    except RuntimeProblem as error:
        words.warning("run.box_lost", error=str(error))
        await _lost(context, error)


async def _stage(context: Context) -> Outcome:
    stage = stage_named((await context.run()).stage)
    if stage.in_the_box:
        context.turn.leave()
    else:
        await context.turn.take()
    await enter(context, stage)
    return await PLAN[stage.name](context)


async def _wait(context: Context, need: Wait) -> None:
    async with context.change() as change:
        wait(change, need.reason, need.sentence, need.again_s)


async def _no_model(context: Context, problem: ModelUnavailable) -> None:
    """Wait for the model, if it may recover in time; else end the job."""
    if (need := await time_left(context, problem)) is None:
        await _fail(context, FailureCode.MODEL_UNAVAILABLE, away(problem))
    else:
        await _wait(context, need)


async def _fail(context: Context, code: FailureCode, detail: str, unusable: str = "") -> None:
    """Set the job to failed. Answers whose keys begin with `unusable` are set aside, so that a retry asks
    again."""
    async with context.change() as change:
        if unusable:
            await run_steps.set_aside(change.session, context.run_id, unusable)
        changes.interrupt_tickets(change.unit, change.job, await rows.tickets(change.session, change.job.id))
        changes.fail(change.unit, change.job, code, detail)
        runs.end(change.job, change.run, RunState.FAILED)
    metrics.runs_ended.labels(code).inc()


async def _lost(context: Context, problem: RuntimeProblem) -> None:
    """The box or its engine was lost: release the run, to be continued in a new box, a few times at most."""
    async with context.look() as session:
        _, run = await context.mine(session)
    if run.claims >= MAX_CLAIMS_WITHOUT_PROGRESS:
        await _fail(
            context,
            FailureCode.SANDBOX_UNAVAILABLE,
            f"The build's container was lost {run.claims} times in a row: {problem}. "
            "Look at the container engine, then retry.",
        )
    else:
        await _release(context, 2.0 ** (run.claims - 1), fruitless=True)


async def _release(context: Context, rest_s: float = 0, *, fruitless: bool = False) -> None:
    """Let any worker claim the run again after `rest_s`."""
    async with context.resources.statements() as statements:
        await runs.release(statements, context.run_id, context.fence, rest_s=rest_s, fruitless=fruitless)
