"""What the tests share: servers, databases, the pgTAP collector, system packages."""
