//! What the kernel says about a process: processor time and memory.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// `/proc` counts processor time in hundredths of a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    /// Resident pages (`VmRSS`).
    pub rss: u64,
    /// The most that was ever resident (`VmHWM`).
    pub peak: u64,
    /// Resident pages that belong to nobody else's file (`Anonymous`).
    pub anonymous: u64,
    /// Its share of all resident pages (`Pss`).
    pub pss: u64,
}

/// Processor time of all threads so far, in user space and in the kernel.
pub fn cpu(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces; what follows its closing bracket does not.
    let after_name = stat.rsplit_once(')').ok_or("no name in stat")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || -> Outcome<f64> { Ok(fields.next().ok_or("stat is short")?.parse()?) };
    Ok(Duration::from_secs_f64(
        (ticks()? + ticks()?) / TICKS_PER_SECOND,
    ))
}

/// Memory right now.
pub fn memory(pid: u32) -> Outcome<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(Memory {
        rss: kilobytes(&status, "VmRSS:")?,
        peak: kilobytes(&status, "VmHWM:")?,
        anonymous: kilobytes(&rollup, "Anonymous:")?,
        pss: kilobytes(&rollup, "Pss:")?,
    })
}

/// Lets the peak start again from what is resident now.
pub fn forget_peak(pid: u32) -> Outcome<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

fn kilobytes(text: &str, name: &str) -> Outcome<u64> {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    let value: u64 = value
        .ok_or_else(|| format!("no {name} in /proc"))?
        .parse()?;
    Ok(value * 1024)
}
