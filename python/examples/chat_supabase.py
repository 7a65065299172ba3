import os
from uuid import uuid4

from supabase import create_client

supabase = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SECRET_KEY"])
turn = {
    "continuation_id": "trip-to-rome",
    "request_id": str(uuid4()),  # kept, and sent again after a lost reply
    "messages": [{"role": "user", "content": "What does this ticket say?"}],
}
first = supabase.rpc("append_turn", turn).execute().data
again = supabase.rpc("append_turn", turn).execute().data
print(first["replayed"], again["replayed"], again["messages"] == first["messages"])
