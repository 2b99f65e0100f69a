from typing import Any

class Configuration:
    def get(self, section: str, key: str, *, fallback: Any = ...) -> str | None: ...
    def getjson(self, section: str, key: str, *, fallback: Any = ...) -> Any: ...

conf: Configuration
