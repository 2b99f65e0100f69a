"""What a test wants to go wrong next: an error of Azure's in place of the true answer, or no answer at all."""

from __future__ import annotations

from dataclasses import dataclass

from stand_ins.azure.messages import Answer, Json, Request

CUT = 0
"""In the place of a status: the connection ends before anything is done."""
LOST = -1
"""In the place of a status: all is done as asked, and the connection ends before the answer."""


@dataclass
class Fault:
    """One of them."""

    status: int
    code: str
    message: str
    method: str
    path: str
    left: int
    retry_after: int


class Faults:
    """The list of them; the first that fits a request is its fate."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Have it happen, as often as it says."""
        self._waiting.append(fault)

    def take(self, request: Request) -> Fault | None:
        """Return what happens to this request, if anything."""
        for fault in self._waiting:
            if fault.method in {"", request.method} and fault.path in request.path.lower():
                fault.left -= 1
                if fault.left == 0:
                    self._waiting.remove(fault)
                return fault
        return None


def answer(request: Request, fault: Fault) -> Answer:
    """Return the error in the form of the service that was asked."""
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
    if request.service == "entra":
        number = fault.code.removeprefix("AADSTS")
        body: Json = {
            "error": "temporarily_unavailable",
            "error_description": f"{fault.code}: {fault.message}",
            "error_codes": [int(number)] if number.isdigit() else [],
        }
        return Answer(fault.status, body, headers)
    error: Json = {"code": fault.code, "message": fault.message}
    flat = "/providers/microsoft.insights/" in request.path.lower()
    return Answer(fault.status, error if flat else {"error": error}, headers)
