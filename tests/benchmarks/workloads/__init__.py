"""One file a workload; each defines WORKLOAD."""
