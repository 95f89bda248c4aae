"""How does a run execute its steps? One after the other in the run's own process, and without burning a core while one has to wait.

Dagster's in-process executor claims pools as it should, but while the only steps left wait for one, it asks for it in a busy loop (its
``interval_to_next_pending_claim_check`` is never above zero: 9.7 s of CPU in 9.8 s of waiting, in 1.13.27). A process for each step would
not, but costs more than most deliveries. So this is Dagster's executor with that one answer corrected.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

SHORTEST_WAIT_SECONDS: Final = 0.1


class _PatientClaims(InstanceConcurrencyContext):
    def interval_to_next_pending_claim_check(self) -> float:
        """Seconds until the next step that waits for a pool should ask for it again."""
        return max(SHORTEST_WAIT_SECONDS, min(self._pending_timeouts.values(), default=0.0) - time.time())


class PatientExecutor(InProcessExecutor):
    """Dagster's in-process executor, asleep while its steps wait for a pool."""

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[dg.DagsterEvent]:
        """Run the plan's steps in this process."""
        manager = PlanExecutionContextManager(
            job=plan_context.job,
            retry_mode=plan_context.retry_mode,
            execution_plan=execution_plan,
            run_config=plan_context.run_config,
            dagster_run=plan_context.dagster_run,
            instance=plan_context.instance,
            raise_on_error=plan_context.raise_on_error,
            output_capture=plan_context.output_capture,
            step_dependency_config=self.step_dependency_config,
        )
        yield from iter(ExecuteRunWithPlanIterable(execution_plan=execution_plan, iterator=_execute, execution_context_manager=manager))


def _execute(job_context: PlanExecutionContext, execution_plan: ExecutionPlan) -> Iterator[dg.DagsterEvent]:
    with _PatientClaims(job_context.instance, job_context.dagster_run) as claims:
        yield from inner_plan_execution_iterator(job_context, execution_plan, claims)


@dg.executor(name="in_process")
def patient_executor(_: Any) -> PatientExecutor:
    """The executor of our own definitions; a host project has its own."""
    return PatientExecutor(retries=RetryMode.ENABLED)
