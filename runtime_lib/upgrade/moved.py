"""Where the public names of earlier releases are now; `mlops upgrade` rewrites a project's imports by this.

One row for each module or name that moved, without the prefix `runtime_lib.`. A name that left its module or
was renamed needs its own row next to the module's. A name without a successor belongs in `_GONE`. Names of
`cli` and `upgrade` need no row: only their commands were ever promised.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["GONE", "HIDDEN", "MOVED"]

_MOVED = {
    # the ground
    "tracking.locks": "locks",
    "tracking.store.plain": "secrets.without_secrets",
    # data, training and what is predicted
    "data.periods": "data.months",
    "data.versions": "pipeline.dvc",
    "monitoring.profile": "training.profile",
    "monitoring.profile.BINS": "profiles.coarse.FEW",
    "training.profile.BINS": "profiles.coarse.FEW",
    "training.baselines.logistic_probability": "task.binary.logistic",
    "training.baselines.naive_probability": "task.binary.naive",
    "training.metrics": "task.binary",
    "training.metrics.binary_metrics": "task.binary.figures",
    "training.fit.Fit": "training.trainer.Fit",
    "training.fit.FitParams": "training.trainer.FitParams",
    "training.network.build": "training.build.build",
    "training.planned": "training.hold",
    "training.planned.tags": "tracking.lineage.plan_tags",
    "training.stages": "training.train",
    "training.stages.evaluate": "training.evaluate.evaluate",
    # tracking, pipeline
    "tracking.record.State": "tracking.record.RunState",
    "pipeline.gate": "pipeline.pre_execute",
    "pipeline.lock": "pipeline.run_lock",
    # serving, monitoring
    "monitoring.alerts": "monitoring.alerts.webhook",
    "monitoring.alerts.host_of": "settings.channel.place_of",
    "monitoring.alerts.webhook.host_of": "settings.channel.place_of",
    "monitoring.monitor.Alert": "monitoring.alerts.alert.Outcome",
    "monitoring.verdict.Alert": "monitoring.alerts.alert.Outcome",
    "monitoring.log": "serving.log",
    "monitoring.measures": "profiles.statistics",
    "monitoring.statistics": "profiles.statistics",
    "monitoring.performance.auc_standard_error": "task.binary.standard_error",
    "serving.asgi": "serving.http",
    "serving.metrics.CONTENT_TYPE": "exposition.CONTENT_TYPE",
    "serving.local": "serving.engines.local",
    "serving.ray_app": "serving.engines.ray",
    "serving.run": "serving.serve",
    "serving.client.address": "serving.address.url_of",
    "serving.protocols.Batch": "serving.protocols.batch.Batch",
    "serving.protocols.infer_answer": "serving.protocols.infer.answer",
    "serving.protocols.invocations_answer": "serving.protocols.invocations.answer",
    "serving.protocols.model_metadata": "serving.protocols.infer.model_metadata",
    "serving.protocols.parse_infer": "serving.protocols.infer.parse",
    "serving.protocols.parse_invocations": "serving.protocols.invocations.parse",
    "serving.protocols.server_metadata": "serving.protocols.infer.server_metadata",
    "serving.service.Answer": "serving.predictor.Prediction",
    # hardware
    "hardware.admission": "hardware.admit.here",
    "hardware.check": "hardware.device.selfcheck",
    "hardware.chips": "hardware.read.chips",
    "hardware.counters": "hardware.energy.counters",
    "hardware.device": "hardware.device.choice",
    "hardware.device.Device": "hardware.device.device.Device",
    "hardware.device.METAL_SHARE": "hardware.device.device.METAL_SHARE",
    "hardware.device.device_for": "hardware.device.device.device_for",
    "hardware.energy": "hardware.energy.meter",
    "hardware.energy.Cost": "hardware.energy.estimate.Cost",
    "hardware.energy.Energy": "hardware.energy.estimate.Energy",
    "hardware.energy.Work": "hardware.energy.estimate.Work",
    "hardware.energy.cost": "hardware.energy.estimate.cost",
    "hardware.energy.estimate": "hardware.energy.estimate.estimate",
    "hardware.energy.figures": "hardware.energy.estimate.figures",
    "hardware.facts": "hardware.read.facts",
    "hardware.facts.CoreLevel": "hardware.read.chips.CoreLevel",
    "hardware.keep": "hardware.replay.redact",
    "hardware.lease": "hardware.share.lease",
    "hardware.lease_files": "hardware.share.files",
    "hardware.lease_files.watch_forks": "hardware.share.descriptors.watch_forks",
    "hardware.lease_notice": "hardware.share.notice",
    "hardware.limits": "hardware.device.limits",
    "hardware.on_linux": "hardware.read.linux",
    "hardware.on_mac": "hardware.read.mac",
    "hardware.parse": "hardware.read.parse",
    "hardware.plan": "hardware.device.compute_plan",
    "hardware.plan.Plan": "hardware.device.compute_plan.ComputePlan",
    "hardware.plist": "hardware.read.plist",
    "hardware.probe": "hardware.read.probe",
    "hardware.probe.REPLAY": "hardware.replay.folder.REPLAY",
    "hardware.probe.Replay": "hardware.replay.folder.Replay",
    "hardware.probe.recorded_name": "hardware.replay.folder.recorded_name",
    "hardware.probe.replayed": "hardware.replay.folder.replayed",
    "hardware.probe.this_machine": "hardware.replay.folder.this_machine",
    "hardware.queue": "hardware.share.order",
    "hardware.ray_resources": "hardware.admit.ray",
    "hardware.readings": "hardware.read.readings",
    "hardware.record": "hardware.replay.recording",
    "hardware.schedule": "hardware.admit.admission",
    "hardware.schedule.Decision": "hardware.admit.admission.Admission",
    "hardware.schedule.Policy": "settings.Hardware",
    "hardware.schedule.capacity": "hardware.admit.capacity.capacity",
    "hardware.schedule.has_apple_gpu": "hardware.admit.capacity.has_apple_gpu",
    "hardware.schedule.has_gpu": "hardware.admit.capacity.has_gpu",
    "hardware.size": "hardware.device.memory",
    "hardware.state": "hardware.read.state",
}

# Name or module → what to write instead.
_GONE: dict[str, str] = {
    **dict.fromkeys(
        (
            *("serving.local.run", "serving.ray_app.application", "serving.ray_app.run"),
            *("serving.run.open_service", "serving.service.open_service", "serving.service.Service"),
        ),
        "runtime_lib.serving.serve.serve runs a server, with any number of versions in each worker",
    ),
    "training.fit.fit": "call runtime_lib.training.train.train; in a loop of your own, "
    "runtime_lib.training.fit.fit_network with a network of runtime_lib.training.build.build",
    **dict.fromkeys(
        ("monitoring.alerts.send_webhook", "monitoring.alerts.webhook.send_webhook"),
        "runtime_lib.monitoring.alerts.notify.notify tells the channels of the settings",
    ),
    "monitoring.log.RESERVED": "runtime_lib.serving.log.is_reserved says whether an input may have a name",
    "monitoring.profile.check_profile": "runtime_lib.training.profile.read_profile returns the document",
    "hardware.check.Finding": "runtime_lib.hardware.device.selfcheck.check returns texts",
    "hardware.on_mac.Answers": "read a machine with runtime_lib.hardware.facts",
    "pipeline.run.judged": "runtime_lib.registry.champion.promote says what holds of a version",
    "hardware.plan.PRECISIONS": "networks compute in float32",
    **dict.fromkeys(
        (
            *("hardware.parse." + name for name in ("Levels", "cluster_levels", "os_version")),
            *("hardware.parse." + name for name in ("processors", "profile", "table")),
            *("hardware.readings." + name for name in ("free_percent", "power_sample")),
        ),
        "the source it parsed is no longer read; runtime_lib.hardware.facts has a machine's facts",
    ),
}

# A package that binds a name like one of its modules hides the module: then the name is meant.
_HIDDEN = ("hardware.facts",)


def _whole(name: str) -> str:
    return f"runtime_lib.{name}"


MOVED: Mapping[str, str] = {_whole(old): _whole(new) for old, new in _MOVED.items()}
GONE: Mapping[str, str] = {_whole(name): advice for name, advice in _GONE.items()}
HIDDEN = frozenset(map(_whole, _HIDDEN))
