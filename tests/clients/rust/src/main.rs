// SPDX-License-Identifier: Apache-2.0
//! A program that profiles itself as Rust's programs do with Pyroscope's SDK. The address of the server is the argument.
use std::hint::black_box;
use std::time::{Duration, Instant};

use pyroscope::backend::{pprof_backend, BackendConfig, PprofConfig};
use pyroscope::pyroscope::PyroscopeAgentBuilder;

#[inline(never)]
fn burn_in_rust(time: Duration) -> u64 {
    let begun = Instant::now();
    let mut total = 0u64;
    while begun.elapsed() < time {
        for i in 0..100_000u64 {
            total = black_box(total.wrapping_add(i * i));
        }
    }
    total
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: hearth-push ADDRESS")?;
    let backend = pprof_backend(PprofConfig::default(), BackendConfig::default());
    let agent = PyroscopeAgentBuilder::new(address, "rust-sdk", 100, "pyroscope-rs", "1", backend)
        .tags(vec![("region", "eu")])
        .upload_interval(Duration::from_secs(3))
        .build()?;
    let running = agent.start()?;
    println!("{}", burn_in_rust(Duration::from_secs(7)));
    running.stop()?.shutdown();
    Ok(())
}
