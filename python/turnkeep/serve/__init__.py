"""The server of `turnkeep serve`: health, metrics and a page to look at.

It can also be a part of an application, which shows its own pool and calls then:

```python
metrics = CallMetrics()
client = Client(url, observer=metrics)
metrics.watch("threads", threads.counts)    # a cache, if there is one
app.mount("/turnkeep", create_app(url, client=client, metrics=metrics, token="..."))
```

Its addresses are relative, so any prefix will do, a proxy's too.

| path | answers |
|---|---|
| `/live` | 200: the process runs |
| `/ready` | 200, or 503 when something that matters has failed |
| `/health` | the same, with every component: see `turnkeep.health` |
| `/metrics` | Prometheus' text format |

With a token, `Authorization: Bearer TOKEN` is needed for all but the status codes of
the first three and a document that has the status alone.
"""

from turnkeep.serve.app import create_app

__all__ = ["create_app"]
