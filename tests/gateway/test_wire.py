"""What a turn takes over the gateway: one request, and hardly more than its content."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from turnkeep.calls import append_turn, get_thread
from turnkeep.client import connect

if TYPE_CHECKING:
    from gateway.running import Gateway

FILES = 8
QUESTION = "What do these eight pictures show? " * 4
ANSWER = "Eight steps of a staircase, seen from below. " * 8


def test_a_turn_with_eight_files_is_one_request(gateway: Gateway) -> None:
    owner = uuid4()
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
    ]
    files = [{"storage_path": f"{owner}/{number}.png"} for number in range(FILES)]
    with connect(gateway.url, key=gateway.service_key) as client:
        user = client.signed_in(gateway.user_token(owner))
        gateway.traffic.clear()
        user(append_turn("wire", messages, files=files, request_id="1"))
        assert gateway.traffic.paths == ["POST /rest/v1/rpc/append_turn"]
        content = len(QUESTION) + len(ANSWER)
        paths = sum(len(file["storage_path"]) for file in files)
        # Keys, quotes and the request; in the answer ids, times and what became of it.
        assert gateway.traffic.bytes_received <= content + paths + 50 * (FILES + 6)
        assert gateway.traffic.bytes_sent <= paths + 150 * (FILES + 2) + 400

        gateway.traffic.clear()
        user(append_turn("wire", messages, request_id="2"))
        assert gateway.traffic.requests == 1
        # The content goes there, and does not come back.
        assert gateway.traffic.bytes_received <= content + 300
        assert gateway.traffic.bytes_sent <= 700

        gateway.traffic.clear()
        user(get_thread("wire"))
        assert gateway.traffic.requests == 1
