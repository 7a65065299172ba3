"""Two layers and no third: PostgreSQL, and Redis in front of it where there is one.

`Threads` is a client whose `get_thread` goes through Redis:

```python
db = Threads(client, Redis("redis://cache"))
thread = db(get_thread("trip-to-rome"))
```

In a coroutine it is `AsyncThreads(async_client, AsyncRedis("redis://cache"))`, and so
for `AsyncResponses`.

It never gives a thread older than one that it gave before, or than its own writes, nor
one that is more than 30 seconds old while somebody else has seen a newer one. How:

- A reader who finds nothing takes a lease before it asks the database, and puts what it
  got only while the lease holds. A write ends the lease, so a reader that was slower
  than a writer puts nothing. What is put lives for LIFETIME from the lease on, by
  Redis's own clock: a command that is carried out late is too late.
- A write removes the thread in the same call. `forget_event` removes what others wrote
  past this cache; `turnkeep pump --redis` calls it for the whole stream.
- Each `Threads` remembers, for as long as an older copy can be around, the version that
  it has seen, and after a write of its own that it has to ask the database.

`Responses` keeps answers of models; `get_or_compute` lets one of many callers compute.

Whatever happens to Redis costs one short timeout; then a breaker leaves it out for a
time, and everything goes to the database.
"""

from turnkeep.cache.redis import AsyncRedis, Counts, Redis
from turnkeep.cache.requests import Request, canonical_json, digest
from turnkeep.cache.responses import AsyncResponses, Responses
from turnkeep.cache.threads import AsyncThreads, Threads

__all__ = [
    "AsyncRedis",
    "AsyncResponses",
    "AsyncThreads",
    "Counts",
    "Redis",
    "Request",
    "Responses",
    "Threads",
    "canonical_json",
    "digest",
]
