"""Breakages of rotations by Job: of what is recorded, of what waits, of who may use which template.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import GUARDRAILS, Mutant

JOBS, SETUP = "tests/unit/reconcile/test_job_runs.py", "tests/unit/vault/test_rotation_setup.py"
SAFETY = "tests/unit/reconcile/test_job_safety.py"
CANDIDATES = "tests/contract/vault/test_candidates.py"
_DECIDE, _RUN, _BODY = "domain/rotation/jobs.py", "reconcile/rotation_jobs.py", "providers/kubernetes/job_body.py"
_JOBS, _CANDIDATES = "providers/kubernetes/jobs.py", "providers/vault/rotation/candidates.py"

BY_JOB: tuple[Mutant, ...] = (
    Mutant(
        "verify's template is what is declared by now",
        _DECIDE,
        '        return at.template or (job.template if job is not None else "")\n    return at.verify',
        '        return at.template or (job.template if job is not None else "")\n    return job.verify if job else ""',
        (SAFETY,),
    ),
    Mutant(
        "a run's templates on record are not judged",
        _DECIDE,
        '"Verify": (at.verify,), "VerifyFormer": (at.verify,)}',
        "}",
        (SAFETY,),
    ),
    Mutant(
        "a value is tried although no rule permits it",
        _DECIDE,
        "        return Finish(unverified(run, obstacle.message))",
        "        return Prepare(run)",
        (SAFETY,),
    ),
    Mutant(
        "a Job of another template that is held since a crash is let run",
        _JOBS,
        "if found.end is JobEnd.HELD and not is_made_of(made, order.template):",
        "if False:",
        (SAFETY,),
    ),
    Mutant(
        "the name in the status says what is deleted",
        _RUN,
        "        jobs.job_name(rotation, run),",
        "        jobs.state(run).job or jobs.job_name(rotation, run),",
        (SAFETY,),
    ),
    Mutant(
        "the user in the status is written whoever it is",
        _DECIDE,
        'unfit = at.stage == "Promote" and not _fits(at, job)',
        "unfit = False",
        (SAFETY,),
    ),
    Mutant(
        "Job and Secret stay when their run is over",
        _RUN,
        "            await self._jobs.discard(_order(found.rotation, run))",
        "            pass",
        (SAFETY,),
    ),
    Mutant(
        "a run whose strategy was changed goes on by itself",
        "reconcile/rotations.py",
        "            step = Start(begun(step.run))",
        "            pass",
        (SAFETY,),
    ),
    Mutant(
        "Jobs that a run waits for are swept",
        "reconcile/job_sweep.py",
        "        if run is None or run.id != order.run or jobs.job_name(rotation, run) != order.name:",
        "        if True:",
        (SAFETY,),
    ),
    Mutant(
        "Jobs of any name are swept",
        "reconcile/job_sweep.py",
        "    if not _OURS.fullmatch(name) or not all(told):",
        "    if not all(told):",
        (SAFETY,),
    ),
    Mutant(
        "Jobs of others are swept",
        "reconcile/job_sweep.py",
        "    return order if is_of_run(body, order) else None",
        "    return order",
        (SAFETY,),
    ),
    Mutant(
        "a Job that went unseen counts as failed",
        _DECIDE,
        "    if outcome.end is JobEnd.ABSENT and at.lost < MOST_LOST:",
        "    if False:",
        (SAFETY,),
    ),
    Mutant(
        "what is staged is deleted before it is made anew",
        _CANDIDATES,
        "        if at:\n            await self.clear(subject.owner)",
        "        await self.clear(subject.owner)",
        (CANDIDATES,),
        servers=True,
    ),
    Mutant(
        "any template may be used",
        "domain/guardrails.py",
        "if not set(request.templates) <= set(rule.job_templates):",
        "if False:",
        (GUARDRAILS,),
    ),
    Mutant(
        "a candidate is promoted although the Job failed",
        _DECIDE,
        'return _stage(run, "Promote") if passed else _tried(run, outcome, job, now)',
        'return _stage(run, "Promote")',
        (JOBS,),
    ),
    Mutant(
        "a try has no end",
        _DECIDE,
        "    if at.attempt >= job.attempts:",
        "    if False:",
        (JOBS,),
    ),
    Mutant(
        "tightened rules begin another try",
        _DECIDE,
        "return Rest(obstacle=obstacle) if passes else End(",
        "return Prepare(run) if passes else End(",
        (JOBS,),
    ),
    Mutant(
        "a Job is let run before that is recorded",
        _RUN,
        "        return jobs.let_run(run, found.rotation, values.user, self._clock())",
        "        await made.let_run(order, outcome.uid)\n"
        "        return jobs.let_run(run, found.rotation, values.user, self._clock())",
        (JOBS,),
    ),
    Mutant(
        "the Secret stays when the Job has ended",
        _RUN,
        "        await made.withdraw(order.name)\n",
        "",
        (JOBS,),
    ),
    Mutant(
        "a Job that hangs is waited for for ever",
        _RUN,
        "            if not jobs.overran(run, now):\n                return Rest()\n            await made.end(",
        "            if True:\n                return Rest()\n            await made.end(",
        (JOBS,),
    ),
    Mutant(
        "a Job of somebody else's is taken for the run's",
        _JOBS,
        "if not is_of_run(found, order):",
        "if False:",
        (JOBS,),
    ),
    Mutant(
        "a CronJob without the label is a template",
        _BODY,
        'if labels.get(TEMPLATE) != "true":',
        "if False:",
        (JOBS,),
    ),
    Mutant(
        "a template says itself whose value it changes",
        _BODY,
        'own = [each for each in container.get("env") or () if each.get("name") not in said]',
        'own = list(container.get("env") or ())',
        (JOBS,),
    ),
    Mutant("a Job runs as soon as it is made", _BODY, '"suspend": True,', '"suspend": False,', (JOBS,)),
    Mutant(
        "a candidate is made anew at each try",
        _CANDIDATES,
        "new = staged if staged is not None and staged != old else await self._stage(subject, at)",
        "new = await self._stage(subject, at)",
        (CANDIDATES,),
        servers=True,
    ),
    Mutant(
        "a candidate is written whatever version stands there",
        _CANDIDATES,
        '"options": {"cas": base}',
        '"options": {}',
        (CANDIDATES,),
        servers=True,
    ),
    Mutant(
        "what was staged for another key is used",
        _CANDIDATES,
        'if found.get("key") != _named(subject):',
        "if False:",
        (CANDIDATES,),
        servers=True,
    ),
    Mutant(
        "bindings may read what is staged",
        "providers/vault/store.py",
        "mistaken_prefixes=(*mistaken, *reserved)",
        "mistaken_prefixes=(*mistaken,)",
        ("tests/unit/vault/test_rotation_setup.py",),
    ),
    Mutant(
        "candidates are swept while a rotation has them",
        "reconcile/candidate_sweep.py",
        "if is_wanted(each, await self._rotation(each.namespace, each.name)):",
        "if False:",
        (JOBS,),
    ),
    Mutant(
        "a login for rotations reads values although no rule rotates by Job",
        "providers/vault/rotation/setup_jobs.py",
        "    if not rules:\n        return []",
        "    if False:\n        return []",
        (SETUP,),
    ),
)
