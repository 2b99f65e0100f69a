from typing import Any

class BundleInfo:
    name: str

class TaskInstanceDTO:
    dag_id: str
    task_id: str
    queue: str

class ExecuteTask:
    ti: TaskInstanceDTO
    bundle_info: BundleInfo

class ExecuteCallback:
    key: Any
