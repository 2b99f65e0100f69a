from types import ModuleType

class AirflowPlugin:
    name: str
    listeners: list[ModuleType]
