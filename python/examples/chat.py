import turnkeep
from turnkeep.calls import append_turn, get_thread

with turnkeep.connect() as db:
    turn = db(
        append_turn(
            "trip-to-rome",
            [
                {"role": "user", "content": "What does this ticket say?"},
                {"role": "assistant", "content": "Rome, platform 4, 9:40."},
            ],
            files=[{"storage_path": "tickets/rome.pdf"}],
        )
    )
    thread = db(get_thread("trip-to-rome", message_limit=20))
    print(turn.next_seq, [message.content for message in thread.messages])
