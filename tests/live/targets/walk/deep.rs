// SPDX-License-Identifier: Apache-2.0

// deep SECONDS N: recurse() N times, through closures and a library's sort, and CPU time at its end.
use std::hint::black_box;

#[inline(never)]
fn leaf(rounds: u64) -> u64 {
    (0..rounds).fold(rounds, |x, i| black_box(x.wrapping_mul(31).wrapping_add(i)))
}

/// Of this thread: the first number of schedstat, in nanoseconds.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e-9
}

#[inline(never)]
fn burn(seconds: f64) -> u64 {
    let end = cpu_seconds() + seconds;
    let mut sum = 0;
    while cpu_seconds() < end {
        let mut words: Vec<u64> = (0..200).map(|i| leaf(20) ^ i * 7919 % 1009).collect();
        words.sort_by(|a, b| leaf(*a % 50).cmp(&leaf(*b % 50)));
        sum += words[0] + leaf(300000);
    }
    sum
}

#[inline(never)]
fn recurse(depth: u32, seconds: f64) -> u64 {
    let bytes = black_box([depth as u8; 40]);
    let below = if depth == 1 { burn(seconds) } else { recurse(depth - 1, seconds) };
    below.wrapping_add(bytes[depth as usize % 40] as u64)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds: f64 = arguments[1].parse().unwrap();
    black_box(recurse(arguments[2].parse().unwrap(), seconds));
}
