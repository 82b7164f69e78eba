//! Real servers as child processes, cluster driver, oracle ledger, chaos, benchmarks.
