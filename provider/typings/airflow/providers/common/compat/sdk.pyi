from typing import Any

class Configuration:
    def get(self, section: str, key: str, *, fallback: Any = ...) -> str | None: ...

conf: Configuration
