"""What a test wants to go wrong next: an error of Azure's in place of the true answer."""

from __future__ import annotations

from dataclasses import dataclass

from stand_ins.azure.messages import Answer, Json, Request


@dataclass
class _Fault:
    status: int
    code: str
    message: str
    method: str
    path: str
    left: int
    retry_after: int


class Faults:
    """The list of them; the first that fits a request answers it."""

    def __init__(self) -> None:
        self._waiting: list[_Fault] = []

    def add(
        self, status: int, code: str, message: str, *, method: str, path: str, times: int, retry_after: int
    ) -> None:
        """Answer so, as often as said."""
        self._waiting.append(_Fault(status, code, message or code, method, path.lower(), times, retry_after))

    def instead(self, request: Request) -> Answer | None:
        """Return what is answered in place of the truth, if anything."""
        for fault in self._waiting:
            if fault.method in {"", request.method} and fault.path in request.path.lower():
                fault.left -= 1
                if fault.left == 0:
                    self._waiting.remove(fault)
                return _answer(request, fault)
        return None


def _answer(request: Request, fault: _Fault) -> Answer:
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
    if request.service == "entra":
        number = fault.code.removeprefix("AADSTS")
        codes = [int(number)] if number.isdigit() else []
        body: Json = {
            "error": "temporarily_unavailable",
            "error_description": f"{fault.code}: {fault.message}",
            "error_codes": codes,
        }
        return Answer(fault.status, body, headers)
    error: Json = {"code": fault.code, "message": fault.message}
    flat = "/providers/microsoft.insights/" in request.path.lower()
    return Answer(fault.status, error if flat else {"error": error}, headers)
